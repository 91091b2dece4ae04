/** What is learned of a request on its way and ends in its log line. Never a token, never a vault id. */

import { vaultTag } from "./vault-tag.ts";

export interface RequestNote {
  /** Route bucket: the pattern, not the path. */
  route: string;
  /** Whose credential it was, or `none`. */
  auth: "none" | "owner" | "device" | "refused";
  /** The vault id; its tag is logged. */
  vault: string | null;
  /** Keeps a promise alive that other requests may wait for, when this one's client leaves. */
  keep: (promise: Promise<unknown>) => void;
}

const notes = new WeakMap<Request, RequestNote>();

/** The note of a request, made at the first question. */
export function noteOf(request: Request): RequestNote {
  let note = notes.get(request);
  if (note === undefined) {
    note = { route: "none", auth: "none", vault: null, keep: () => undefined };
    notes.set(request, note);
  }
  return note;
}

/** One line per request; of the 404s, which anybody can make as many as they like of, one in a hundred. */
export function logRequest(request: Request, status: number, ms: number, random: () => number = Math.random): void {
  if (status === 404 && random() >= 0.01) return;
  const note = noteOf(request);
  const vault = note.vault === null ? {} : { vault: vaultTag(note.vault) };
  console.log(JSON.stringify({ event: "request.answered", route: note.route, method: request.method, status, ms, auth: note.auth, ...vault }));
}
