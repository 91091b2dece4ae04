/**
 * A client that edits and remembers what its own content was after each of its frames. Everything it writes is its own
 * (a note only it edits, and marked entries in a list all writers share), and frames of one connection become
 * durable in order. So whatever happens to the server, its content must later be as it was after some frame, and not an
 * older one than the last frame it has a receipt for. That judges deletions as strictly as insertions.
 */
import * as Y from "yjs";
import type { Random } from "./random.ts";
import { YaosClient } from "./yaos-client.ts";

const DELETE_SHARE = 0.35;
/** Characters no two edits share by accident, so that a wrong state does not look like a right one. */
const ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";

/** How a writer's content in some document compares with what it wrote. */
export type Verdict =
  | { readonly kind: "kept"; readonly frame: number }
  /** A state the writer once had, but older than its receipts allow. */
  | { readonly kind: "lost"; readonly frame: number; readonly durable: number; readonly sent: number }
  /** A state the writer never had: a frame is missing in the middle. */
  | { readonly kind: "torn"; readonly durable: number; readonly sent: number; readonly found: string };

export class LoggedWriter {
  readonly id: string;
  readonly client: YaosClient;
  readonly #random: Random;
  readonly #shared = new Set<string>();
  /** Content after frame n at index n; frames that changed nothing repeat the one before. */
  readonly #states: string[];

  constructor(id: string, random: Random, options: { wsUrl: string; token: string; vault: string; onReceipt: () => void }) {
    this.id = id;
    this.#random = random;
    const doc = new Y.Doc();
    doc.clientID = random.int(1, 0xffff_ffff); // seeded, like everything here
    this.client = new YaosClient({ ...options, doc });
    this.#states = [this.#ownState()];
  }

  /** One edit in one frame; about a third of them delete. */
  edit(): void {
    if (!this.client.isOpen) return;
    const { doc } = this.client;
    doc.transact(() => this.#change(doc));
    const state = this.#ownState();
    while (this.#states.length < this.client.sentFrames) this.#states.push(this.#states.at(-1) ?? "");
    this.#states[this.client.sentFrames] = state;
  }

  /** Compares what `doc` holds of this writer's with its history. */
  judge(doc: Y.Doc): Verdict {
    const { sentFrames: sent, durableFrames: durable } = this.client;
    const found = stateOf(doc, this.id);
    const frame = this.#states.lastIndexOf(found);
    // A frame without edits after the last edit (the answer to the server's step 1) leaves the last state standing.
    const oldest = Math.min(durable, this.#states.length - 1);
    if (frame === -1) return { kind: "torn", durable, sent, found };
    return frame >= oldest ? { kind: "kept", frame } : { kind: "lost", frame, durable, sent };
  }

  #change(doc: Y.Doc): void {
    const notes = doc.getMap<Y.Text>("notes");
    const shared = doc.getArray<string>("shared");
    const note = notes.get(this.id);
    if (note === undefined) {
      notes.set(this.id, new Y.Text(this.#word()));
    } else if (this.#random.chance(0.5)) {
      const at = this.#random.int(0, note.length);
      if (this.#random.chance(DELETE_SHARE) && at < note.length) note.delete(at, Math.min(note.length - at, this.#random.int(1, 5)));
      else note.insert(at, this.#word());
    } else if (this.#random.chance(DELETE_SHARE) && this.#shared.size > 0) {
      const entry = this.#random.pick([...this.#shared]);
      shared.delete(shared.toArray().indexOf(entry), 1);
      this.#shared.delete(entry);
    } else {
      const entry = `${this.id}/${this.client.sentFrames}`;
      shared.insert(this.#random.int(0, shared.length), [entry]);
      this.#shared.add(entry);
    }
  }

  #word(): string {
    return Array.from({ length: this.#random.int(3, 12) }, () => this.#random.pick([...ALPHABET])).join("");
  }

  #ownState(): string {
    return describe(this.client.doc.getMap<Y.Text>("notes").get(this.id), [...this.#shared]);
  }
}

function stateOf(doc: Y.Doc, id: string): string {
  const own = doc.getArray<string>("shared").toArray().filter((entry) => entry.startsWith(`${id}/`));
  return describe(doc.getMap<Y.Text>("notes").get(id), own);
}

function describe(note: Y.Text | undefined, entries: string[]): string {
  return JSON.stringify([note?.toString() ?? null, entries.sort()]);
}
