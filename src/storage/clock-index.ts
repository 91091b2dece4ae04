/**
 * Which clocks the room has, per client: the end of the contiguous prefix (that is the state vector), and islands behind holes.
 * Islands exist only where a stored row was lost; structs that arrive behind a gap are held in a table of their own.
 */
import type { ClientRange } from "../update/news.ts";

export class ClockIndex {
  readonly #ends = new Map<number, number>();
  /** Sorted, disjoint, all beyond the prefix. Empty in a healthy room. */
  readonly #islands = new Map<number, { from: number; to: number }[]>();

  /** First clock of `client` that is missing: its entry in the state vector. */
  readonly end = (client: number): number => this.#ends.get(client) ?? 0;

  /** Client to end, without zero entries: the state vector. Do not change it. */
  get vector(): ReadonlyMap<number, number> {
    return this.#ends;
  }

  /** Per client the end of everything stored, islands included. */
  reach(): Map<number, number> {
    const reach = new Map(this.#ends);
    for (const [client, islands] of this.#islands) reach.set(client, islands.at(-1)!.to);
    return reach;
  }

  /** Clients with clocks stored behind a hole, each with the holes before them. */
  holes(): ClientRange[] {
    const holes: ClientRange[] = [];
    for (const [client, islands] of this.#islands) {
      let end = this.end(client);
      for (const island of islands) {
        holes.push({ client, from: end, to: island.from });
        end = island.to;
      }
    }
    return holes;
  }

  /** Adds clocks. Repeats and overlaps change nothing; a range that closes a hole joins what lay behind it. */
  add(client: number, from: number, to: number): void {
    const end = this.end(client);
    if (to <= end) return;
    if (from > end) {
      this.#addIsland(client, from, to);
      return;
    }
    let reached = to;
    const islands = this.#islands.get(client);
    if (islands !== undefined) {
      while (islands.length > 0 && islands[0]!.from <= reached) reached = Math.max(reached, islands.shift()!.to);
      if (islands.length === 0) this.#islands.delete(client);
    }
    this.#ends.set(client, reached);
  }

  #addIsland(client: number, from: number, to: number): void {
    const islands = [...(this.#islands.get(client) ?? []), { from, to }].sort((a, b) => a.from - b.from);
    const merged: { from: number; to: number }[] = [];
    for (const island of islands) {
      const last = merged.at(-1);
      if (last !== undefined && island.from <= last.to) last.to = Math.max(last.to, island.to);
      else merged.push({ ...island });
    }
    this.#islands.set(client, merged);
  }

  /** Whether all clocks `from` to `to - 1` are there. */
  has(client: number, from: number, to: number): boolean {
    if (to <= this.end(client)) return true;
    const start = Math.max(from, this.end(client));
    return (this.#islands.get(client) ?? []).some((island) => island.from <= start && to <= island.to);
  }

  clone(): ClockIndex {
    const copy = new ClockIndex();
    for (const [client, end] of this.#ends) copy.#ends.set(client, end);
    for (const [client, islands] of this.#islands) {
      copy.#islands.set(
        client,
        islands.map((island) => ({ ...island })),
      );
    }
    return copy;
  }
}
