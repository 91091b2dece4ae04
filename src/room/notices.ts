/** What a session is told beside the protocol: text frames where text may go, else the auth frame that stock providers print (update laws, W3). */
import { LIMITS } from "../limits.ts";
import { degradedFrame, readOnlyFrame } from "../protocol/custom.ts";
import { permissionDeniedFrame } from "../protocol/frames.ts";
import type { Session } from "./session.ts";

/** Something is wrong with the room, in the client's words: it should not rely on being saved or served. */
export function tellDegraded(session: Session, reason: string, nowMs: number): void {
  session.send(session.text ? degradedFrame(reason) : permissionDeniedFrame(reason), nowMs);
}

/** All is well again. There is no such frame without text. */
export function tellRecovered(session: Session, nowMs: number): void {
  if (session.text) session.send(degradedFrame(null), nowMs);
}

/** An edit was not taken because the session, or everybody, may only read. Said now and then, not for every edit. */
export function tellReadOnly(session: Session, reason: string, nowMs: number): void {
  if (nowMs - session.readOnlyNoticeAtMs < LIMITS.readOnlyNoticeMs) return;
  session.readOnlyNoticeAtMs = nowMs;
  session.send(session.text ? readOnlyFrame(reason) : permissionDeniedFrame(reason), nowMs);
}
