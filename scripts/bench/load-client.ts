/**
 * Run in a process of its own: times how long a stock client takes to load the given updates (files, in order), then prints
 * `{ms, hash}`, the hash over every note's text, so that the bench can see that all servers delivered the same vault.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as Y from "yjs";

const updates = process.argv.slice(2).map((file) => new Uint8Array(readFileSync(file)));
const doc = new Y.Doc();
const bodies = doc.getMap<Y.Text>("idToText");
const startedAt = performance.now();
for (const update of updates) Y.applyUpdate(doc, update);
const ms = performance.now() - startedAt;
const hash = createHash("sha256");
for (const id of [...bodies.keys()].toSorted()) hash.update(id).update("\0").update(bodies.get(id)?.toString() ?? "").update("\0");
console.log(JSON.stringify({ ms, hash: hash.digest("hex") }));
