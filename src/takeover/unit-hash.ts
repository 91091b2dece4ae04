/** The arithmetic of unit digests: two hashes of 32 bits, mixed by multiplying and shifting, and what is summed up per client. Not for secrets. */

/** Clocks and client ids from here on need more than 32 bits. */
export const TWO_32 = 0x1_0000_0000;
/** Mark of what is deleted. */
const DEAD = 64;

/** Of one client. Lanes a and b are sums of 32 bits that wrap around. */
export interface ClientSum {
  a: number;
  b: number;
  units: number;
  readonly seedA: number;
  readonly seedB: number;
  readonly deadA: number;
  readonly deadB: number;
}

/** Of a client of which nothing was added yet. */
export function newSum(client: number): ClientSum {
  const seedA = laneA(0x2545f491 ^ highMark(client), client | 0, 0);
  const seedB = laneB(0x6c8e9cf5 ^ highMark(client), client | 0, 0);
  return { a: 0, b: 0, units: 0, seedA, seedB, deadA: laneA(seedA, DEAD, 0), deadB: laneB(seedB, DEAD, 0) };
}

/** A hash under way, over numbers and bytes in order. */
export class TwoLanes {
  a = 0;
  b = 0;

  start(sum: ClientSum, mark: number): void {
    this.a = laneA(sum.seedA, mark, 0);
    this.b = laneB(sum.seedB, mark, 0);
  }

  number(value: number): void {
    const high = highMark(value);
    this.a = laneA(this.a ^ high, value | 0, 1);
    this.b = laneB(this.b ^ high, value | 0, 1);
  }

  bytes(bytes: Uint8Array, start: number, end: number): void {
    let a = this.a ^ (end - start);
    let b = this.b ^ (end - start);
    for (let i = start; i < end; i++) {
      const byte = bytes[i]!;
      a = Math.imul(a ^ byte, 0x01000193);
      a ^= a >>> 15;
      b = Math.imul(b + byte + 1, 0x27d4eb2f);
      b ^= b >>> 13;
    }
    this.a = a;
    this.b = b;
  }
}

/** Makes the part of a number above 32 bits count; 0 for nearly all. */
export function highMark(value: number): number {
  return value < TWO_32 ? 0 : Math.imul(Math.floor(value / TWO_32), 0x9e3779b1);
}

/** The number is multiplied before the content joins it, so that neighbours with exchanged contents differ; then both are mixed. */
export function laneA(seed: number, number: number, content: number): number {
  let h = Math.imul((seed + number) | 0, 0x9e3779b1) ^ content;
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return h ^ (h >>> 16);
}

/** The same by other numbers. */
export function laneB(seed: number, number: number, content: number): number {
  let h = Math.imul((seed ^ number) | 0, 0x85ebca6b) + Math.imul(content, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return h ^ (h >>> 15);
}
