/**
 * Cut points: clocks at which a struct must begin because a struct of another place refers to that boundary.
 * A client splits squashed structs there again, at a price that grows with its vault (update laws, A2 and P1).
 */

import type { Source } from "./chunk.ts";
import { type ClientOrder, orderByClient, StructTable } from "./struct-table.ts";
import { ByteReader, ByteWriter } from "./varint.ts";
import { HAS_ORIGIN } from "./visitor.ts";

/** Per client the clocks, ascending, each once, at which to split and over which not to squash. */
export type CutPoints = ReadonlyMap<number, Float64Array>;

/** What the structs of these sources refer to in clocks outside the sources: for the chunks that hold those clocks. */
export function collectCutPoints(sources: readonly Source[]): CutPoints {
  const table = new StructTable();
  for (let i = 0; i < sources.length; i++) table.scan(sources[i]!, i);
  const order = orderByClient(table);
  const cuts = internalCuts(table, (c, clock) => !isCovered(table, order, c, clock));
  const points = new Map<number, Float64Array>();
  for (let c = 0; c < cuts.length; c++) {
    if (cuts[c]!.length > 0) points.set(table.clientIds[c]!, cuts[c]!);
  }
  return points;
}

/** The union of several lists. */
export function mergeCutPoints(lists: Iterable<CutPoints>): CutPoints {
  const merged = new Map<number, Float64Array>();
  for (const list of lists) {
    for (const [client, clocks] of list) {
      const known = merged.get(client);
      merged.set(client, known === undefined ? clocks : sortedUnique(concat(known, clocks)));
    }
  }
  return merged;
}

/**
 * Cut points by dense client index, as the table's structs make them: every origin + 1 that is not the struct's own
 * chain, every right origin. `wanted` (client index, referred clock) can leave references out; `extra` is joined in.
 */
export function internalCuts(
  table: StructTable,
  wanted: ((client: number, clock: number) => boolean) | null,
  extra: CutPoints | null = null,
): Float64Array[] {
  const clients = table.clientIds.length;
  const size = new Int32Array(clients);
  const last = new Float64Array(clients).fill(-1);
  forEachReference(table, (client, cut) => {
    // Runs of typing share their right origin, so comparing with the one before drops most repeats.
    if (last[client] === cut) return;
    last[client] = cut;
    size[client]!++;
  });
  const cuts: Float64Array[] = [];
  for (let c = 0; c < clients; c++) cuts.push(size[c] === 0 ? NONE : new Float64Array(size[c]!));
  size.fill(0);
  last.fill(-1);
  forEachReference(table, (client, cut, clock) => {
    if (last[client] === cut) return;
    last[client] = cut;
    if (wanted === null || wanted(client, clock)) cuts[client]![size[client]!++] = cut;
  });
  for (let c = 0; c < clients; c++) {
    const more = extra?.get(table.clientIds[c]!);
    const own = cuts[c]!.subarray(0, size[c]!);
    cuts[c] = more === undefined ? sortedUnique(own) : sortedUnique(concat(own, more));
  }
  return cuts;
}

/** Wire form: client count, then per client its id, how many clocks, and the clocks as differences; all varuints. */
export function encodeCutPoints(points: CutPoints): Uint8Array {
  const writer = new ByteWriter();
  writer.varUint(points.size);
  for (const client of [...points.keys()].sort((a, b) => a - b)) {
    const clocks = points.get(client)!;
    writer.varUint(client);
    writer.varUint(clocks.length);
    let before = 0;
    for (const clock of clocks) {
      writer.varUint(clock - before);
      before = clock;
    }
  }
  return writer.finish();
}

/**
 * Reads what `encodeCutPoints` wrote.
 * @throws {Error} when the bytes end early ({@link ByteReader}) or go on after the last clock.
 */
export function decodeCutPoints(bytes: Uint8Array): CutPoints {
  const input = new ByteReader(bytes);
  const points = new Map<number, Float64Array>();
  for (let clients = input.varUint(); clients > 0; clients--) {
    const client = input.varUint();
    const size = input.varUint();
    if (size > input.left) throw new Error(`Cannot read cut points: ${size} clocks in ${input.left} bytes`);
    const clocks = new Float64Array(size);
    for (let i = 0, clock = 0; i < size; i++) clocks[i] = clock += input.varUint();
    points.set(client, clocks);
  }
  if (input.left > 0) throw new Error(`Cannot read cut points: ${input.left} bytes too many`);
  return points;
}

const NONE = new Float64Array(0);

function forEachReference(table: StructTable, visit: (client: number, cut: number, clock: number) => void): void {
  const { client, clock, info, leftClient, leftClock, rightClient, rightClock, count } = table;
  for (let row = 0; row < count; row++) {
    if ((info[row]! & HAS_ORIGIN) !== 0) {
      const origin = leftClock[row]!;
      const of = leftClient[row]!;
      if (of !== client[row] || origin !== clock[row]! - 1) visit(of, origin + 1, origin);
    }
    const right = rightClient[row]!;
    if (right !== -1) visit(right, rightClock[row]!, rightClock[row]!);
  }
}

function isCovered(table: StructTable, order: ClientOrder, client: number, clock: number): boolean {
  let low = order.first[client]!;
  let high = order.first[client + 1]!;
  const first = low;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (table.clock[order.rows[middle]!]! <= clock) low = middle + 1;
    else high = middle;
  }
  if (low === first) return false;
  const row = order.rows[low - 1]!;
  return table.clock[row]! + table.length[row]! > clock;
}

function concat(a: Float64Array, b: Float64Array): Float64Array {
  const both = new Float64Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** Sorts in place and returns the part that holds each value once. */
function sortedUnique(clocks: Float64Array): Float64Array {
  clocks.sort();
  let kept = 0;
  for (let i = 0; i < clocks.length; i++) {
    if (i === 0 || clocks[i] !== clocks[kept - 1]) clocks[kept++] = clocks[i]!;
  }
  return clocks.subarray(0, kept);
}
