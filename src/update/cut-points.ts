/**
 * Cut points: clocks at which a struct must begin because a struct of another place refers to that boundary.
 * A client splits squashed structs there again, at a price that grows with its vault (update laws, A2 and P1).
 */

import type { Source } from "./chunk.ts";
import { ELEMENT_WORK, Pacer, withoutPauses } from "./pacer.ts";
import { pacedSort } from "./paced-sort.ts";
import { type ClientOrder, orderByClient, StructTable } from "./struct-table.ts";
import { ByteReader, ByteWriter } from "./varint.ts";
import { HAS_ORIGIN } from "./visitor.ts";

/** Per client the clocks, ascending, each once, at which to split and over which not to squash. */
export type CutPoints = ReadonlyMap<number, Float64Array>;

/** What the structs of these sources refer to in clocks outside the sources: for the chunks that hold those clocks. */
export function collectCutPoints(sources: readonly Source[]): CutPoints {
  return withoutPauses(collectCutPointsSteps(sources, new Pacer(Infinity)));
}

/** The same with pauses. */
export function* collectCutPointsSteps(sources: readonly Source[], pacer: Pacer): Generator<null, CutPoints> {
  const table = new StructTable();
  yield* table.scan(sources, pacer);
  const order = yield* orderByClient(table, pacer);
  const cuts = yield* internalCuts(table, (c, clock) => !isCovered(table, order, c, clock), null, pacer);
  const points = new Map<number, Float64Array>();
  for (let c = 0; c < cuts.length; c++) {
    if (cuts[c]!.length > 0) points.set(table.clientIds[c]!, cuts[c]!);
  }
  table.giveBack();
  return points;
}

/** The union of several lists. */
export function mergeCutPoints(lists: Iterable<CutPoints>): CutPoints {
  return withoutPauses(mergeCutPointsSteps(lists, new Pacer(Infinity)));
}

/** The same with pauses. */
export function* mergeCutPointsSteps(lists: Iterable<CutPoints>, pacer: Pacer): Generator<null, CutPoints> {
  const parts = new Map<number, Float64Array[]>();
  for (const list of lists) {
    for (const [client, clocks] of list) {
      const known = parts.get(client);
      if (known === undefined) parts.set(client, [clocks]);
      else known.push(clocks);
    }
  }
  const merged = new Map<number, Float64Array>();
  for (const [client, some] of parts) {
    if (some.length === 1) {
      merged.set(client, some[0]!);
      continue;
    }
    const all = concat(some);
    yield* pacedSort(all, sortClocks, isAfter, pacer);
    merged.set(client, unique(all));
  }
  return merged;
}

/**
 * Cut points by dense client index, as the table's structs make them: every origin + 1 that is not the struct's own
 * chain, every right origin. `wanted` (client index, referred clock) can leave references out; `extra` is joined in.
 */
export function* internalCuts(
  table: StructTable,
  wanted: ((client: number, clock: number) => boolean) | null,
  extra: CutPoints | null,
  pacer: Pacer,
): Generator<null, Float64Array[]> {
  const clients = table.clientIds.length;
  const size = new Int32Array(clients);
  const last = new Float64Array(clients).fill(-1);
  const count = (client: number, cut: number): void => {
    // Runs of typing share their right origin, so comparing with the one before drops most repeats.
    if (last[client] === cut) return;
    last[client] = cut;
    size[client]!++;
  };
  yield* pacer.inParts(table.count, ELEMENT_WORK, (from, to) => forEachReference(table, from, to, count));
  const cuts: Float64Array[] = [];
  for (let c = 0; c < clients; c++) cuts.push(size[c] === 0 ? NONE : new Float64Array(size[c]!));
  size.fill(0);
  last.fill(-1);
  const collect = (client: number, cut: number, clock: number): void => {
    if (last[client] === cut) return;
    last[client] = cut;
    if (wanted === null || wanted(client, clock)) cuts[client]![size[client]!++] = cut;
  };
  yield* pacer.inParts(table.count, ELEMENT_WORK, (from, to) => forEachReference(table, from, to, collect));
  for (let c = 0; c < clients; c++) {
    const more = extra?.get(table.clientIds[c]!);
    const own = cuts[c]!.subarray(0, size[c]!);
    const all = more === undefined ? own : concat([own, more]);
    if (all.length > 1) yield* pacedSort(all, sortClocks, isAfter, pacer);
    cuts[c] = unique(all);
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

function forEachReference(table: StructTable, from: number, to: number, visit: (client: number, cut: number, clock: number) => void): void {
  const { client, clock, info, leftClient, leftClock, rightClient, rightClock } = table;
  for (let row = from; row < to; row++) {
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

function concat(lists: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(lists.reduce((sum, list) => sum + list.length, 0));
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  return all;
}

const sortClocks = (clocks: Float64Array): void => void clocks.sort();
const isAfter = (a: number, b: number): boolean => a > b;

/** Closes up repeats in ascending clocks, in place, and returns the part that holds each once. */
function unique(clocks: Float64Array): Float64Array {
  let kept = 0;
  for (let i = 0; i < clocks.length; i++) {
    if (i === 0 || clocks[i] !== clocks[kept - 1]) clocks[kept++] = clocks[i]!;
  }
  return clocks.subarray(0, kept);
}
