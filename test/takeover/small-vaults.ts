import * as Y from "yjs";
import { type CleanUpReport, cleanUp } from "../../src/takeover/clean-up.ts";
import { VaultStore } from "../../src/storage/vault-store.ts";
import { checksum } from "../kit/checksum.ts";
import { MemoryLegacy } from "../kit/legacy-storage.ts";
import { TakeoverObject } from "../kit/takeover-object.ts";

/** Vaults of a few words, in the storage of older servers, and what is done to them over and over. */
export const snapshotOf = (doc: Y.Doc): string => Buffer.from(Y.encodeSnapshot(Y.snapshot(doc))).toString("hex");

/** A document that one client made. @param from what it had before */
export function vault(clientId: number, edit: (doc: Y.Doc) => void, from: Y.Doc | null = null): Y.Doc {
  const doc = new Y.Doc();
  if (from !== null) Y.applyUpdate(doc, Y.encodeStateAsUpdate(from));
  doc.clientID = clientId;
  edit(doc);
  return doc;
}

/** What the others begin with. */
export const first = vault(1, (doc) => {
  doc.getMap("meta").set("a", { path: "A.md" });
  doc.getText("t").insert(0, "hello old world");
});

export function kvObject(values: Map<string, unknown>): TakeoverObject {
  return new TakeoverObject(new MemoryLegacy(values));
}

/** A vault in sessions of one client: what is newer at each, with all deletions, as older servers saved it. */
export function sessions(count: number, word = "w", client = 77): { doc: Y.Doc; deltas: Uint8Array[] } {
  const doc = new Y.Doc();
  doc.clientID = client;
  const deltas: Uint8Array[] = [];
  let vector = Y.encodeStateVector(doc);
  for (let at = 0; at < count; at++) {
    doc.getText("t").insert(0, `${word}${at} `);
    if (at > 1) doc.getText("t").delete(3, 1);
    deltas.push(Y.encodeStateAsUpdate(doc, vector));
    vector = Y.encodeStateVector(doc);
  }
  return { doc, deltas };
}

/** A clean-up to its end. */
export function clean(object: TakeoverObject, dryRun = false, trouble: string | null = null): CleanUpReport {
  const report = cleanFor(object, Infinity, dryRun, trouble);
  if (report === null) throw new Error("the clean-up came to no end");
  return report;
}

/** A clean-up whose instance is evicted after so many turns: null, unless it was over before. */
export function cleanFor(object: TakeoverObject, stop: number, dryRun = false, trouble: string | null = null): CleanUpReport | null {
  object.turns = 0;
  return object.inTurns(
    () => {
      const store = new VaultStore(object.host.sql, checksum);
      store.open();
      return cleanUp(object.host, store, trouble, dryRun);
    },
    (begun): begun is CleanUpReport => !("next" in begun),
    stop,
  );
}
