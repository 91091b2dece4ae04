import type * as Y from "yjs";
import { canonicalBytes, plainDoc, retryPending } from "./compare.ts";
import { DocRoom, type HistoryRoom } from "./histories.ts";
import { ModelRoom } from "./model-room.ts";
import { Random } from "./random.ts";

/**
 * A model room and a document fed the same arrivals. Authors are served by the model, which meanwhile moves its journal to
 * chunks and rewrites random chunks, so a history runs over everything the codec can do to what is stored.
 */
export class PairedRoom implements HistoryRoom {
  readonly model = new ModelRoom();
  readonly #reference = new DocRoom();
  readonly #random: Random;
  /** States the reference passed through, for clients that stopped there. */
  readonly #earlier: Uint8Array[] = [];

  constructor(seed: number) {
    this.#random = new Random(seed ^ 0x7a17);
  }

  receive(update: Uint8Array): void {
    this.model.receive(update);
    this.#reference.receive(update);
    if (this.#random.chance(0.1)) this.#earlier.push(canonicalBytes(this.#reference.doc));
    if (this.#random.chance(0.25)) this.maintain();
  }

  serve(vector: Uint8Array): Uint8Array {
    return this.model.serve(vector);
  }

  vector(): Uint8Array {
    return this.model.vector();
  }

  /** The document, with everything integrated that can be. */
  get reference(): Y.Doc {
    retryPending(this.#reference.doc);
    return this.#reference.doc;
  }

  /** A client that stopped at a random point of the past. */
  earlierClient(): Y.Doc {
    return plainDoc(this.#earlier.length === 0 ? [] : [this.#random.pick(this.#earlier)], { gc: this.#random.chance(0.7) });
  }

  /** One random act of maintenance: checkpoint, rewrite of a chunk, folding of neighbours. */
  maintain(): void {
    const { model } = this;
    const chunkBytes = this.#random.pick([1, 60, 300, 2000, 1_000_000]);
    if (model.chunks.length === 0 || this.#random.chance(0.5)) model.checkpoint(chunkBytes);
    else {
      const from = this.#random.int(0, model.chunks.length - 1);
      const to = this.#random.int(from + 1, Math.min(model.chunks.length, from + 4));
      model.compact(from, to, chunkBytes);
    }
  }
}
