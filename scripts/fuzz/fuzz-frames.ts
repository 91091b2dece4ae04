/** One run of the frame fuzzer: rooms one after the other, each from its own seed. */
import * as Y from "yjs";
import { parseFrame } from "../../src/protocol/frames.ts";
import { splitNews } from "../../src/update/news.ts";
import { Random } from "../../test/kit/random.ts";
import { FrameCases } from "./frame-cases.ts";
import { FuzzedRoom } from "./frame-room.ts";

/** Frames sent to one room. */
const FRAMES_PER_ROOM = 2_000;
/** The process must stay under this, bytes: the test kit, two documents and a room that holds at most 16 MiB behind gaps. */
const MAX_PROCESS_BYTES = 900 * 2 ** 20;

export interface FuzzOptions {
  readonly count: number;
  /** Of the first room; every further room has the next one. */
  readonly seed: number;
  /** Every n-th accepted update is loaded by a document of its own; 0 for none. */
  readonly sample: number;
}

export interface FuzzRun {
  frames: number;
  rooms: number;
  /** Updates the codec took. */
  accepted: number;
  loaded: number;
  /** Resident memory of the process at its highest, bytes, looked at after each room. */
  peakBytes: number;
  readonly closes: Map<string, number>;
}

/** @throws {Error} that names seed, frame and what was wrong */
export function fuzzFrames(options: FuzzOptions): FuzzRun {
  const run: FuzzRun = { frames: 0, rooms: 0, accepted: 0, loaded: 0, peakBytes: 0, closes: new Map() };
  for (let seed = options.seed; run.frames < options.count; seed++) {
    fuzzRoom(seed, Math.min(FRAMES_PER_ROOM, options.count - run.frames), options.sample, run);
    const bytes = process.memoryUsage.rss();
    run.peakBytes = Math.max(run.peakBytes, bytes);
    if (bytes > MAX_PROCESS_BYTES) throw new Error(`seed ${seed}: the process has grown to ${Math.round(bytes / 2 ** 20)} MiB`);
  }
  return run;
}

function fuzzRoom(seed: number, count: number, sample: number, run: FuzzRun): void {
  const random = new Random(seed);
  const room = new FuzzedRoom(random);
  const cases = new FrameCases(random, room.presentIds);
  let frame: Uint8Array | string = "";
  try {
    for (let at = 0; at < count; at++) {
      frame = cases.make();
      room.receive(frame);
      run.frames += 1;
      const update = acceptedUpdate(frame);
      if (update === null) continue;
      run.accepted += 1;
      if (sample === 0 || run.accepted % sample !== 0) continue;
      run.loaded += 1;
      const doc = new Y.Doc();
      Y.applyUpdate(doc, update);
      Y.encodeStateAsUpdate(doc);
    }
    frame = "";
    room.finish();
  } catch (error) {
    const shown = typeof frame === "string" ? JSON.stringify(frame) : Buffer.from(frame.subarray(0, 2_000)).toString("hex");
    throw new Error(`seed ${seed}, frame ${run.frames} of the run (${shown}): ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  } finally {
    room.close();
  }
  run.rooms += 1;
  for (const [reason, times] of room.closes) run.closes.set(reason, (run.closes.get(reason) ?? 0) + times);
}

/** The update in a frame, when the codec takes it. */
function acceptedUpdate(frame: Uint8Array | string): Uint8Array | null {
  if (typeof frame === "string") return null;
  try {
    const message = parseFrame(frame);
    if (message.kind !== "sync-update") return null;
    splitNews(message.update, () => 0);
    return message.update;
  } catch {
    // The room has judged it already.
    return null;
  }
}
