/** Frames for the fuzzer, from a seed: what stock clients send, the same with bytes changed, and what nobody sends in earnest. */
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { type RawPresence, awarenessFrame, gcUpdate, nestedAnyUpdate, syncFrame, varints, vectorOf } from "../../test/kit/bad-frames.ts";
import type { Random } from "../../test/kit/random.ts";
import { genuineUpdates } from "../../test/update/genuine.ts";

const MAX_SAFE = Number.MAX_SAFE_INTEGER;
/** Numbers at which varints, floats and 32-bit arithmetic change. */
const EDGES = [0, 1, 2, 63, 64, 127, 128, 255, 16_383, 16_384, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52, MAX_SAFE - 1, MAX_SAFE];
const SCALARS = ["null", "true", "-1.5e300", '""', '"\\ud800"', "{}", "[]", '{"user":{"name":"x"}}', "nul", "{", "[1,]", "\u0000", "NaN"];

/** What the frames of one room are made of. */
export class FrameCases {
  readonly #random: Random;
  readonly #updates: readonly Uint8Array[];
  readonly #vectors: readonly Uint8Array[];
  /** Ids of clients that are present in the room: a hostile client knows them. */
  readonly #foreignIds: readonly number[];

  constructor(random: Random, foreignIds: readonly number[]) {
    this.#random = random;
    const updates = genuineUpdates(random, 30);
    this.#updates = [...updates, Y.mergeUpdates(updates.slice(0, 8)), Y.mergeUpdates(random.shuffle(updates).slice(0, 6)), Y.mergeUpdates(updates)];
    this.#vectors = updates.slice(0, 6).map((update) => Y.encodeStateVectorFromUpdate(update));
    this.#foreignIds = foreignIds;
  }

  /** The next frame, binary or text. */
  make(): Uint8Array | string {
    const random = this.#random;
    const kind = random.int(0, 99);
    if (kind < 8) return this.#sync(random.pick(this.#updates));
    if (kind < 48) return this.#sync(this.#mutated(random.pick(this.#updates)));
    if (kind < 58) return this.#mutated(this.#genuine());
    if (kind < 64) return this.#step1();
    if (kind < 76) return this.#awareness();
    if (kind < 80) return this.#mutated(this.#awareness());
    if (kind < 84) return this.#several();
    if (kind < 88) return this.#sync(this.#hostileUpdate());
    if (kind < 92) return this.#hostileNumbers();
    if (kind < 94) return Uint8Array.of(2, ...varints(random.int(0, 1), random.pick(EDGES)), 65);
    if (kind < 96) return Uint8Array.of(3);
    if (kind < 98) return Uint8Array.from([...varints(random.int(4, 300)), ...this.#noise(20)]);
    if (kind < 99) return random.pick(["", "hello", "ping", "__YPS:{}", '__YPS:{"type":"yaos/sv-echo"}', "\ud800", "x".repeat(5_000)]);
    return this.#noise(60);
  }

  #sync(update: Uint8Array): Uint8Array {
    return syncFrame(this.#random.int(1, 2), update);
  }

  #genuine(): Uint8Array {
    const random = this.#random;
    switch (random.int(0, 4)) {
      case 0:
        return syncFrame(0, random.pick(this.#vectors));
      case 1:
        return awarenessFrame({ client: random.int(1, 9), clock: random.int(0, 9), state: '{"a":[1]}' });
      default:
        return this.#sync(random.pick(this.#updates));
    }
  }

  #step1(): Uint8Array {
    const random = this.#random;
    const edge = (): number => random.pick(EDGES);
    switch (random.int(0, 5)) {
      case 0:
        return syncFrame(0, random.pick(this.#vectors));
      case 1:
        return syncFrame(0, this.#mutated(random.pick(this.#vectors)));
      case 2:
        // Rarely more clients, or more bytes, than the limits: these are the largest frames made here.
        if (random.chance(0.01)) return syncFrame(0, random.chance(0.5) ? vectorOf(LIMITS.maxClientsPerMessage + 1) : new Uint8Array(LIMITS.maxStateVectorBytes + 1));
        return syncFrame(0, vectorOf(random.int(0, 3_000)));
      case 3:
        return syncFrame(0, varints(edge(), edge(), edge()));
      case 4:
        return syncFrame(0, varints(3, 5, edge(), 5, edge(), edge(), edge()));
      default:
        return syncFrame(0, Uint8Array.of(0));
    }
  }

  #awareness(): Uint8Array {
    const random = this.#random;
    const entry = (): RawPresence => ({
      client: random.chance(0.3) ? random.pick(this.#foreignIds) : random.chance(0.2) ? random.pick(EDGES) : random.int(1, 400),
      clock: random.chance(0.2) ? random.pick(EDGES) : random.int(0, 60),
      state: this.#state(),
    });
    // Rarely more ids than one connection may own, or more states than one frame may hold.
    const count = random.chance(0.02) ? random.pick([257, 700, 2_501]) : random.int(0, 4);
    return awarenessFrame(...Array.from({ length: count }, (_, n) => (count > 4 ? { ...entry(), client: 10_000 + n, state: "{}" } : entry())));
  }

  #state(): string {
    const random = this.#random;
    if (random.chance(0.4)) return random.pick(SCALARS);
    if (random.chance(0.3)) return "null";
    const depth = random.chance(0.05) ? random.int(990, 5_000) : random.int(0, 20);
    const [open, close] = random.pick([["[", "]"], ['{"a":', "}"]] as const);
    return open.repeat(depth) + random.pick(SCALARS) + close.repeat(random.chance(0.9) ? depth : random.int(0, depth));
  }

  /** Messages behind each other in one frame; only the first is read. */
  #several(): Uint8Array {
    return Uint8Array.from(Array.from({ length: this.#random.int(2, 4) }, () => [...this.#genuine()]).flat());
  }

  #hostileUpdate(): Uint8Array {
    const random = this.#random;
    const edge = (): number => random.pick(EDGES);
    switch (random.int(0, 6)) {
      case 0:
        return gcUpdate(random.int(1, 50), random.chance(0.5) ? 0 : edge(), random.chance(0.5) ? random.int(0, 5) : edge());
      case 1:
        return nestedAnyUpdate(random.int(100, 100_000), random.chance(0.1) ? random.int(900, 4_000) : random.int(0, 40));
      case 2:
        // Deletions of anything, in any order, overlapping.
        return this.#hostileDeletes(random.int(0, 12));
      case 3:
        return varints(edge(), edge(), edge(), edge(), edge());
      case 4:
        return varints(1, edge(), random.int(1, 9), 0);
      case 5:
        return varints(0, edge(), edge(), edge());
      default:
        return Uint8Array.from([...varints(1, 1, random.int(1, 9), random.int(0, 3)), ...this.#noise(30)]);
    }
  }

  #hostileDeletes(ranges: number): Uint8Array {
    const random = this.#random;
    const numbers = Array.from({ length: ranges * 2 }, () => (random.chance(0.8) ? random.int(0, 300) : random.pick(EDGES)));
    return varints(0, 1, random.int(1, 9), ranges, ...numbers);
  }

  /** Numbers where a frame says what it is, and how long. */
  #hostileNumbers(): Uint8Array {
    const random = this.#random;
    switch (random.int(0, 4)) {
      case 0:
        return new Uint8Array(random.int(0, 40)).fill(0xff);
      case 1:
        return Uint8Array.from([random.int(0, 1), random.int(0, 3), ...varints(random.pick(EDGES)), ...this.#noise(12)]);
      case 2:
        return Uint8Array.from([0, random.int(0, 255), ...this.#noise(6)]);
      case 3:
        return Uint8Array.from([1, ...varints(random.pick(EDGES), random.pick(EDGES), random.pick(EDGES))]);
      default:
        // A number in more bytes than it needs.
        return Uint8Array.from([0x80, 0x80, random.int(0, 128), random.int(0, 2), ...varints(2), 0, 0]);
    }
  }

  #noise(maxLength: number): Uint8Array {
    return Uint8Array.from({ length: this.#random.int(0, maxLength) }, () => this.#random.int(0, 255));
  }

  #mutated(from: Uint8Array): Uint8Array {
    const random = this.#random;
    let mutant: Uint8Array = from.slice();
    for (let n = random.int(1, 3); n > 0 && mutant.length > 0; n--) {
      const at = random.int(0, mutant.length - 1);
      switch (random.int(0, 6)) {
        case 0:
          mutant[at] = random.int(0, 255);
          break;
        case 1:
          mutant[at] = mutant[at]! ^ (1 << random.int(0, 7));
          break;
        case 2:
          mutant[at] = random.pick([0, 1, 127, 128, 255]);
          break;
        case 3:
          mutant = mutant.slice(0, at);
          break;
        case 4:
          mutant = spliced(mutant, at, random.int(1, 4), new Uint8Array(0));
          break;
        case 5:
          mutant = spliced(mutant, at, 1, varints(random.pick(EDGES)));
          break;
        default: {
          const other = random.pick(this.#updates);
          const start = random.int(0, other.length - 1);
          mutant = spliced(mutant, at, 0, other.subarray(start, start + random.int(1, 12)));
        }
      }
    }
    return mutant;
  }
}

/** `of` with `removed` bytes at `at` replaced by `added`. */
function spliced(of: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array {
  return Uint8Array.from([...of.subarray(0, at), ...added, ...of.subarray(at + removed)]);
}
