/**
 * A room under fire: one hostile session sends whatever it is told, two stock clients go on working beside it.
 * Every frame must be dealt with cleanly, or cost its sender the session with a code of the table; whoever sits beside must notice nothing.
 */
import * as decoding from "lib0/decoding";
import { Awareness, applyAwarenessUpdate } from "y-protocols/awareness";
import * as Y from "yjs";
import { CLOSE } from "../../src/protocol/close-codes.ts";
import { DocClient } from "../../test/kit/doc-client.ts";
import type { Random } from "../../test/kit/random.ts";
import { TestRoom } from "../../test/kit/test-room.ts";

/** Codes a session may be closed with for what it sent: the table without our own failures, and without what never follows a frame. */
const FAIR_CODES: ReadonlySet<number> = new Set([CLOSE.malformedFrame, CLOSE.tooLarge, CLOSE.refusedUpdate, CLOSE.pendingFull, CLOSE.tooFast].map(({ code }) => code));

/** Longest a single small frame may take, milliseconds; far above what a busy machine makes of it. */
const MAX_FRAME_MS = 5_000;

/** A session that never reads with a document and never answers by itself. */
class HostileClient extends DocClient {
  override open(): void {
    super.open();
    this.outbox.length = 0;
  }

  override read(): void {
    this.peer.take();
  }
}

/** A stock client with presence; everything it hears is taken in by the stock libraries, which throw on what they cannot read. */
class Bystander extends DocClient {
  readonly awareness = new Awareness(this.doc);

  override read(): void {
    for (const frame of this.peer.sent) {
      if (typeof frame === "string") continue;
      const decoder = decoding.createDecoder(frame);
      if (decoding.readVarUint(decoder) === 1) applyAwarenessUpdate(this.awareness, decoding.readVarUint8Array(decoder), this);
    }
    super.read();
  }
}

export class FuzzedRoom {
  readonly #room = new TestRoom();
  readonly #hostile = new HostileClient();
  readonly #writer = new Bystander();
  readonly #reader = new Bystander();
  readonly #fresh = new Bystander();
  readonly #random: Random;
  /** How often sessions were closed, by reason. */
  readonly closes = new Map<string, number>();
  #words = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#writer.doc.clientID = 4_000_000_001;
    this.#reader.doc.clientID = 4_000_000_002;
    this.#room.connect(this.#writer);
    this.#room.connect(this.#reader, { door: "sync", text: false });
    this.#room.pass(2_000);
    this.#enter();
  }

  get presentIds(): readonly number[] {
    return [this.#writer.doc.clientID, this.#reader.doc.clientID];
  }

  /** Sends one frame. @throws {Error} with what the room did wrong */
  receive(frame: Uint8Array | string): void {
    const room = this.#room;
    const { peer } = this.#hostile;
    const heardBefore = this.#heard();
    const startedMs = performance.now();
    if (!room.turn((r) => r.receive(peer, frame))) throw new Error("the instance died");
    const tookMs = performance.now() - startedMs;
    if (tookMs > MAX_FRAME_MS) throw new Error(`one frame took ${Math.round(tookMs)} ms`);
    if (peer.closed === null) {
      if (this.#random.chance(0.02)) this.#letTimePass();
      return;
    }
    const { code, reason } = peer.closed;
    if (!FAIR_CODES.has(code) || reason === "") throw new Error(`closed with ${code} ${reason}`);
    if (this.#heard() !== heardBefore) throw new Error(`others heard of a frame refused with ${code} ${reason}`);
    this.closes.set(reason, (this.closes.get(reason) ?? 0) + 1);
    room.disconnect(this.#hostile);
    this.#enter();
  }

  /** The others still edit, get receipts and agree; a fresh client agrees with them, after a kill too. @throws {Error} with what is wrong */
  finish(): void {
    const room = this.#room;
    this.#letTimePass();
    this.#exchange();
    room.disconnect(this.#hostile);
    room.pass(5_000);
    const frames = room.look((r) => ({ ...r.counters }));
    const { framesReceived, ...outcomes } = frames;
    const sum = Object.values(outcomes).reduce((all, count) => all + count, 0);
    if (framesReceived !== sum) throw new Error(`${framesReceived} frames received, ${sum} accounted for`);
    if (this.#writer.durableFrames !== this.#writer.sent.length) throw new Error("the writer's edits were not receipted");
    const vector = vectorText(this.#writer.doc);
    if (vectorText(this.#reader.doc) !== vector) throw new Error("the two that were there differ");
    room.kill();
    const fresh = this.#fresh;
    room.connect(fresh);
    room.settle();
    if (vectorText(fresh.doc) !== vector) throw new Error(`a fresh client has ${vectorText(fresh.doc)}, the others ${vector}`);
    // All the writer wrote is in its text, insertions and deletions.
    if (text(fresh.doc) !== text(this.#writer.doc)) throw new Error("a receipted edit is gone");
  }

  /** Stops the clients' clocks. */
  close(): void {
    for (const client of [this.#fresh, this.#writer, this.#reader]) client.awareness.destroy();
  }

  #enter(): void {
    this.#room.connect(this.#hostile, this.#random.chance(0.5) ? { door: "vault", text: true } : { door: "parties", text: false });
    this.#hostile.peer.take();
  }

  /** Frames that wait for the others, nothing reads them meanwhile. Without presence: who is closed leaves. */
  #heard(): number {
    const isPresence = (frame: Uint8Array | string): boolean => typeof frame !== "string" && frame[0] === 1;
    return [this.#writer, this.#reader].reduce((sum, { peer }) => sum + peer.sent.filter((frame) => !isPresence(frame)).length, 0);
  }

  /** Windows close, commits and compaction run, the others take in what they heard, and the room may fall asleep. */
  #letTimePass(): void {
    const room = this.#room;
    room.pass(this.#random.pick([5, 50, 1_100, 3_000]));
    if (this.#random.chance(0.2)) this.#exchange();
    for (const client of [this.#writer, this.#reader]) if (client.peer.closed !== null) throw new Error(`a bystander was closed with ${client.peer.closed.code}`);
    const { kind } = room.look((r) => r.health);
    if (kind !== "healthy") throw new Error(`the room is ${kind}`);
    // Sockets outlive the room's memory.
    if (room.timers.pending === 0 && this.#random.chance(0.3)) room.hibernate();
  }

  #exchange(): void {
    this.#words += 1;
    const words = this.#writer.doc.getText("others");
    words.insert(words.length, ` ${this.#words}`);
    if (words.length > 40) words.delete(0, 20);
    this.#room.settle();
    this.#room.pass(50);
    if (text(this.#reader.doc) !== words.toString()) throw new Error("an edit of one bystander did not reach the other");
  }
}

function text(doc: Y.Doc): string {
  return doc.getText("others").toString();
}

/**
 * The clocks a document was given. Hostile structs may hang on what nobody has: a document keeps those aside and does not count them, unless they
 * were deleted, when the room has no need to say what they hung on.
 */
function vectorText(doc: Y.Doc): string {
  const vector = Y.decodeStateVector(Y.encodeStateVector(doc));
  const pending = doc.store.pendingStructs;
  if (pending !== null) for (const [client, end] of Y.parseUpdateMetaV2(pending.update).to) vector.set(client, Math.max(end, vector.get(client) ?? 0));
  return JSON.stringify([...vector].toSorted(([a], [b]) => a - b));
}
