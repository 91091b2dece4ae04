import * as decoding from "lib0/decoding";
import type * as Y from "yjs";
import { PresentClient } from "./present-client.ts";
import type { TestRoom } from "./test-room.ts";

/** One frame as a joiner saw it. */
export interface SeenFrame {
  readonly kind: "step 1" | "step 2" | "update" | "query" | "presence" | "denial" | "text";
  readonly byteLength: number;
  readonly atMs: number;
  /** The update inside, for step 2 and update. */
  readonly update: Uint8Array | null;
}

/** A client that writes down what it gets and when, and answers a query for its presence or does not. */
export class Joiner extends PresentClient {
  readonly frames: SeenFrame[] = [];
  readonly #room: TestRoom;

  constructor(room: TestRoom, options: { answersQueries: boolean; doc?: Y.Doc }) {
    super(options.doc);
    this.#room = room;
    this.answersQueries = options.answersQueries;
  }

  override read(): void {
    for (const frame of this.peer.sent) this.frames.push(this.#see(frame));
    super.read();
  }

  #see(frame: Uint8Array | string): SeenFrame {
    const atMs = this.#room.clock.nowMs();
    if (typeof frame === "string") return { kind: "text", byteLength: frame.length, atMs, update: null };
    const decoder = decoding.createDecoder(frame);
    const outer = decoding.readVarUint(decoder);
    const kind = outer === 0 ? (["step 1", "step 2", "update"] as const)[decoding.readVarUint(decoder)]! : OUTER[outer]!;
    const update = kind === "step 2" || kind === "update" ? decoding.readVarUint8Array(decoder) : null;
    return { kind, byteLength: frame.byteLength, atMs, update };
  }

  /** The sync frames that carried changes, in order: `update` and `step 2`. */
  get answerFrames(): SeenFrame[] {
    return this.frames.filter((frame) => frame.update !== null);
  }
}

const OUTER: Readonly<Record<number, SeenFrame["kind"]>> = { 1: "presence", 2: "denial", 3: "query" };
