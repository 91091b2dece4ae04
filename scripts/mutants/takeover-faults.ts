/** Faults in taking over an older server's vault, cleaning up after it and bringing edits back to it, in the order of SPEC.md's rules TK. Tried with the others. */
import type { Fault } from "./faults.ts";

const LAYOUTS = "test/takeover/layouts.test.ts";
const STREAM = "test/takeover/stream.test.ts";
const SALVAGE = "test/takeover/salvage.test.ts";
const EMIT = "test/takeover/emit-closed.test.ts";
const DIGEST = "test/takeover/digest.test.ts";
const MOVE = "test/takeover/move.test.ts";
const FORWARD = "test/takeover/forward.test.ts";
const CLEAN_UP = "test/takeover/clean-up.test.ts";
const TEARS = "test/takeover/tears.test.ts";
const FINGERPRINT = "test/takeover/fingerprint.test.ts";
const INCOMPLETE = "test/room/takeover-incomplete.test.ts";
const FALLBACK = "test/room/takeover-fallback.test.ts";
const OPENER = "test/takeover/opener.test.ts";
const ACTS = "test/takeover/acts.test.ts";
const OBJECT = "test/worker/takeover.test.ts";
const ROUTES = "test/worker/routes.test.ts";
const PIECES = "test/push-back/pieces.test.ts";
const SEND_VAULT = "test/push-back/send-vault.test.ts";
const WAY_BACK = "test/process/way-back.test.ts";

export const TAKEOVER_FAULTS: readonly Fault[] = [
  // TK1, TK2, TK19: what is found, and what of it verifies.
  {
    name: "storage of an older server not recognised",
    file: "src/takeover/opening.ts",
    find: `fingerprint = legacyFingerprint(host.legacy);
  } catch`,
    replace: `fingerprint = null;
  } catch`,
    tests: [MOVE],
  },
  {
    name: "tables of PR #51 left out when there are keys",
    file: "src/takeover/find-legacy.ts",
    find: `return joinFindings([findKvEntries(storage), findSqlEntries(storage.sql)]);`,
    replace: `const kv = findKvEntries(storage);
  return kv.entries.length > 0 ? kv : joinFindings([kv, findSqlEntries(storage.sql)]);`,
    tests: [MOVE],
  },
  {
    name: "buffer behind a view taken for the value",
    file: "src/takeover/bytes-of.ts",
    find: `return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);`,
    replace: `return new Uint8Array(value.buffer);`,
    tests: [LAYOUTS],
  },
  {
    name: "journal entries in the order of their keys",
    file: "src/takeover/kv-listing.ts",
    find: `return [...ids].sort((a, b) => a - b);`,
    replace: `return [...ids].sort();`,
    tests: [LAYOUTS],
  },
  {
    name: "journal entries dropped that the metadata does not name",
    file: "src/takeover/kv-journal.ts",
    find: `entries.push(wholeEntry(storage, place, verdict.partSizes, manifest.sha256));`,
    replace: `if (!isLive) continue;
    entries.push(wholeEntry(storage, place, verdict.partSizes, manifest.sha256));`,
    tests: [LAYOUTS],
  },
  {
    name: "hash of an entry not compared",
    file: "src/takeover/read-source.ts",
    find: `if (sha.digest() !== expected) throw`,
    replace: `if (sha.digest() === "") throw`,
    tests: [STREAM],
  },
  {
    name: "entry of no bytes taken for an update",
    file: "src/takeover/read-source.ts",
    find: `if (bytes.byteLength === 0 && entry.sha256 !== null) return`,
    replace: `if (bytes.byteLength === 0) return`,
    tests: [SALVAGE],
  },
  {
    name: "chunk that changed since it was found taken as it is",
    file: "src/takeover/kv-entry.ts",
    find: `if (bytes.byteLength !== size) throw new LegacyDamageError(key, `,
    replace: `if (bytes.byteLength < 0) throw new LegacyDamageError(key, `,
    tests: [LAYOUTS],
  },
  {
    name: "journal entry that is gone counted as no loss",
    file: "src/takeover/kv-journal.ts",
    find: `const isLoss = hasHead || seqs.length === 0;`,
    replace: `const isLoss = false;`,
    tests: [LAYOUTS],
  },
  {
    name: "rows of PR #51's snapshot found by place, not by number",
    file: "src/takeover/sql-layout.ts",
    find: `snapshotChunk(sql, rows[part]!.i)`,
    replace: `snapshotChunk(sql, part)`,
    tests: ["test/takeover/lenient.test.ts"],
  },
  {
    name: "document joins beside a loss that may have deleted its files",
    file: "src/takeover/survey.ts",
    find: `decided === "joined" || (!mayHaveFiles && (yield*`,
    replace: `decided === "joined" || ((yield*`,
    tests: ["test/takeover/lenient.test.ts"],
  },
  {
    name: "losses beyond the listed ones not settled",
    file: "src/takeover/decisions.ts",
    find: `...record.settled, ...record.losses])]`,
    replace: `...record.settled, ...record.losses.slice(0, 200)])]`,
    tests: ["test/takeover/lenient.test.ts"],
  },
  {
    name: "lost state vector counted as a loss of content",
    file: "src/takeover/kv-checkpoints.ts",
    find: `problems.push({ key: vectorKey(version), reason: aside, isLoss: false });`,
    replace: `problems.push({ key: vectorKey(version), reason: aside, isLoss: true });`,
    tests: [LAYOUTS, MOVE],
  },
  {
    name: "manifest that is wrong about its chunks believed more than its hash",
    file: "src/takeover/kv-verdict.ts",
    find: `const partSizes = cutByHash(storage, family, id, manifest, lengths);`,
    replace: `const partSizes = null as ReturnType<typeof cutByHash>;`,
    tests: [LAYOUTS],
  },

  // TK3: the pre-chunk document.
  {
    name: "pre-chunk document brings deleted files back",
    file: "src/takeover/document-rule.ts",
    find: `others.some((source) => source.touchesVaultMaps)`,
    replace: `others.some(() => false)`,
    tests: [FORWARD],
  },
  {
    name: "decision about the pre-chunk document not kept",
    file: "src/takeover/move.ts",
    find: `if (document !== begun.document) writeRecord(sql, { ...begun, document });`,
    replace: ``,
    tests: [FORWARD],
  },

  // TK4, TK5: steps, attempts, memory.
  {
    name: "attempts of a takeover never counted",
    file: "src/takeover/move.ts",
    find: `const attempts = isAgain ? before.attempts + 1 : 1;`,
    replace: `const attempts = isAgain ? before.attempts : 1;`,
    tests: [MOVE],
  },
  {
    name: "takeover marked complete as it begins",
    file: "src/takeover/move.ts",
    find: `const begun: TakeoverRecord = { ...before, state: "moving",`,
    replace: `const begun: TakeoverRecord = { ...before, state: "complete",`,
    tests: [MOVE],
  },
  {
    name: "a second takeover begun beside the first",
    file: "worker/room-opener.ts",
    find: `if (this.#waiting !== null) return null;`,
    replace: ``,
    tests: [OPENER],
  },
  {
    name: "vault that was refused not looked at again",
    file: "worker/room-opener.ts",
    find: `this.#host.clock.nowMs() - this.#atMs > RETRY_AFTER_MS) this.reset();`,
    replace: `this.#host.clock.nowMs() - this.#atMs === Infinity) this.reset();`,
    tests: [OPENER],
  },
  {
    name: "rows of a takeover not counted as upkeep",
    file: "worker/room-opener.ts",
    find: `if (opening.as.movedNow) this.#room.stats.rowsWrittenBy.maintenance += sql.rowsWritten;`,
    replace: `if (sql.rowsWritten < 0) this.reset();`,
    tests: [OPENER],
  },
  {
    name: "takeover goes on over a vault that was erased",
    file: "worker/room-opener.ts",
    find: `while (run === this.#run) {`,
    replace: `for (;;) {`,
    tests: [OBJECT],
  },
  {
    name: "takeover that gets on given up",
    file: "src/takeover/move.ts",
    find: ` && before.progress === progress;`,
    replace: `;`,
    tests: [MOVE],
  },
  {
    name: "damaged row of ours ends the takeover",
    file: "src/takeover/move.ts",
    find: `if (!(error instanceof DamagedRowError) || ++damaged > MAX_DAMAGED) throw error;`,
    replace: `if (!(error instanceof DamagedRowError) || ++damaged > 0) throw error;`,
    tests: [MOVE],
  },
  {
    name: "parts of an entry that were read stay in memory",
    file: "src/takeover/source-bytes.ts",
    find: `forgetPart(old);`,
    replace: ``,
    tests: [STREAM, EMIT],
  },
  {
    name: "windows of any number of clients in memory",
    file: "src/takeover/window-pool.ts",
    find: `other.drop();`,
    replace: `return;`,
    tests: [STREAM, EMIT],
  },

  // TK6: uniting.
  {
    name: "struct sent out before its right origin",
    file: "src/takeover/emit-closed.ts",
    find: `this.#isThere(section, view.client, view.rightClient, view.rightClock) &&`,
    replace: ``,
    tests: [EMIT],
  },
  {
    name: "deletions of an older server not stored",
    file: "src/takeover/unite.ts",
    find: `let fresh = subtract(deletes, store.readDeletes());`,
    replace: `let fresh = subtract(DeleteSet.empty, store.readDeletes());`,
    tests: [MOVE],
  },
  {
    name: "every entry united once, whatever it waits for",
    file: "src/takeover/unite.ts",
    find: `      progress = true;
`,
    replace: ``,
    tests: [MOVE, TEARS],
  },
  {
    name: "structs behind a gap not kept",
    file: "src/takeover/unite.ts",
    find: `store.commit({ updates: [], ranges: [], deletes: DeleteSet.empty, held: [update], released: [] }, atMs());`,
    replace: ``,
    tests: [TEARS],
  },

  // TK7, TK8: comparing, and the marker.
  {
    name: "takeover not compared with its sources",
    file: "src/takeover/compare.ts",
    find: `return yield* verify(store, found.sources, reachOf(found.sources, waiting), pacer);`,
    replace: `if (reached.size < 0) yield null;
  return { ok: true, digest: "", units: 0 };`,
    tests: [MOVE],
  },
  {
    name: "digests that differ taken for equal",
    file: "src/takeover/verify.ts",
    find: `if (differing.length === 0) return { ok: true, ...result };`,
    replace: `if (differing.length >= 0) return { ok: true, ...result };`,
    tests: [DIGEST],
  },
  {
    name: "digest blind to where a struct stands",
    file: "src/takeover/unit-digest.ts",
    find: `this.#hash.number(originClock);`,
    replace: ``,
    tests: [DIGEST],
  },
  {
    name: "marker of an incomplete takeover says that it is complete",
    file: "src/takeover/move.ts",
    find: `migration_completed: hasLoss ? "false" : "true",`,
    replace: `migration_completed: "true",`,
    tests: [MOVE],
  },

  // TK9, TK10, TK16: a vault with a part missing.
  {
    name: "incomplete vault opened as a whole one",
    file: "src/takeover/opening.ts",
    find: `record?.state === "incomplete" ? record.missing : null;`,
    replace: `null;`,
    tests: [MOVE],
  },
  {
    name: "edits taken over a hole",
    file: "src/room/incomplete-desk.ts",
    find: `return !(mayHaveUnnamed && (`,
    replace: `return false && !(mayHaveUnnamed && (`,
    tests: [INCOMPLETE],
  },
  {
    name: "nobody told that the vault is incomplete",
    file: "src/room/incomplete-desk.ts",
    find: "tellDegraded(session, `${INCOMPLETE_REASON}: ${missing.reason}`, nowMs);",
    replace: ``,
    tests: [INCOMPLETE],
  },
  {
    name: "every answer taken where a hole has no name",
    file: "src/room/incomplete-desk.ts",
    find: `const mayHaveUnnamed = isAnswer && session.hadAll === true;`,
    replace: `const mayHaveUnnamed = isAnswer;`,
    tests: [INCOMPLETE],
  },
  {
    name: "room goes on as incomplete once its holes are filled",
    file: "src/room/incomplete-desk.ts",
    find: `    this.#finish();
    host.takeover.filled();`,
    replace: ``,
    tests: [INCOMPLETE],
  },
  {
    name: "hole not named by what waits for it",
    file: "src/takeover/missing.ts",
    find: `want(waitsFor.client, waitsFor.clock + 1);`,
    replace: ``,
    tests: [FORWARD],
  },
  {
    name: "accepted loss forgotten",
    file: "src/takeover/decisions.ts",
    find: `writeRecord(sql, { ...record, settled, state: "moving", attempts: 0 });`,
    replace: `writeRecord(sql, { ...record, state: "moving", attempts: 0 });`,
    tests: [TEARS],
  },
  {
    name: "accepted loss forgotten with the next takeover",
    file: "src/takeover/move.ts",
    find: `new Set([...before.settled, ...healed.map(lossId)])`,
    replace: `new Set(healed.map(lossId))`,
    tests: [FORWARD],
  },
  {
    name: "retry of a takeover that was given up leaves it given up",
    file: "src/takeover/decisions.ts",
    find: `writeRecord(sql, { ...record, state: "moving", attempts: 0 });`,
    replace: `writeRecord(sql, { ...record, state: "moving" });`,
    tests: [MOVE],
  },

  {
    name: "room goes on as it was after a decision",
    file: "worker/takeover-acts.ts",
    find: `if (decision.status === "done") reopen();`,
    replace: ``,
    tests: [ACTS],
  },
  {
    name: "damaged bytes believed about clocks of any client",
    file: "src/takeover/survey.ts",
    find: `believed.sections.length === 0 || !order.follows(believed)`,
    replace: `believed.sections.length === 0`,
    tests: [SALVAGE, TEARS],
  },
  {
    name: "what was saved last counted as named by what waits",
    file: "src/takeover/missing.ts",
    find: `unknown.every((key) => isWaitedFor(key, blocked)) && `,
    replace: ``,
    tests: [SALVAGE, TEARS],
  },
  // TK11: from memory.
  {
    name: "storage that does not verify served from memory",
    file: "src/takeover/fallback.ts",
    find: `if (found.hasLoss || found.sources.length === 0) return null;`,
    replace: `if (found.sources.length === 0) return null;`,
    tests: [FORWARD],
  },
  {
    name: "receipts for edits that are kept nowhere",
    file: "src/room/edit-desk.ts",
    find: `    // Nothing will be durable, so nobody waits for it.
`,
    replace: `    if (isFallback) receipts.dealtWith(session);
    if (isFallback) receipts.sendCovered(session);
`,
    tests: [FALLBACK],
  },
  {
    name: "nobody told that edits are kept nowhere",
    file: "src/room/entrance.ts",
    find: `else if (health.kind === "fallback") tellDegraded(session, fallbackNotice(health.reason), nowMs);`,
    replace: `else if (health.kind === "fallback") stats.refused(health.reason);`,
    tests: [FALLBACK],
  },
  {
    name: "revoked credentials let in where nothing is kept",
    file: "src/room/fallback.ts",
    find: `access.readAlone();`,
    replace: ``,
    tests: [FALLBACK],
  },

  // TK12: an older server that was put back.
  {
    name: "fingerprint blind to when the journal was written",
    file: "src/takeover/fingerprint.ts",
    find: `["nextSeq", "entryCount", "totalBytes", "updatedAt"]`,
    replace: `["nextSeq", "entryCount", "totalBytes"]`,
    tests: [FORWARD, FINGERPRINT],
  },
  {
    name: "fingerprint blind to rows that came and went",
    file: "src/takeover/fingerprint.ts",
    find: `const sequence = lastIdGiven(sql);`,
    replace: `const sequence = lastIdGiven(sql) * 0;`,
    tests: [FINGERPRINT],
  },
  {
    name: "what an older server wrote since the takeover not looked at",
    file: "src/takeover/opening.ts",
    find: ` record !== null && record.state !== "moving" && record.fingerprint === fingerprint;`,
    replace: ` record !== null && record.state !== "moving";`,
    tests: [FORWARD],
  },

  // TK13, TK14, TK18: the old storage stays until it is cleaned up.
  {
    name: "old keys deleted once they were taken over",
    file: "src/takeover/move.ts",
    find: `log.event(hasLoss ? "error" : "info",`,
    replace: `host.legacy.delete(found.sources.flatMap((source) => source.entry.keys));
  log.event(hasLoss ? "error" : "info",`,
    tests: [MOVE],
  },
  {
    name: "clean-up without comparing",
    file: "src/takeover/clean-up.ts",
    find: "if (!verdict.ok) return aborted(",
    replace: "if (!verdict.ok && false) return aborted(",
    tests: [CLEAN_UP],
  },
  {
    name: "clean-up of a vault with edits that ours do not have",
    file: "src/takeover/clean-up.ts",
    find: "if (step.value !== null) return `",
    replace: "if (step.value !== null && false) return `",
    tests: [CLEAN_UP],
  },
  {
    name: "clean-up leaves what an older server begins with to the last",
    file: "src/takeover/delete-old.ts",
    find: `const isHead = (key: string): boolean => `,
    replace: `const isHead = (key: string): boolean => key.length === 0 && `,
    tests: [CLEAN_UP],
  },
  {
    name: "clean-up deletes keys that are to be kept",
    file: "src/takeover/delete-old.ts",
    find: `const going = [...new Set(keys)].filter((key) => !keep.has(key));`,
    replace: `const going = [...new Set(keys)];`,
    tests: [CLEAN_UP],
  },
  {
    name: "clean-up deletes rows that are to be kept",
    file: "src/takeover/delete-old.ts",
    find: `const journalRows = ids.filter((id) => !keep.has(\`journal row \${id}\`));`,
    replace: `const journalRows = ids;`,
    tests: [CLEAN_UP],
  },
  {
    name: "older server's vault cleaned up with a loss that nobody accepted",
    file: "src/takeover/clean-up.ts",
    find: `if (found.hasLoss || record.state === "incomplete") return aborted(`,
    replace: `if (found.hasLoss && record.state === "complete") return aborted(`,
    tests: [CLEAN_UP],
  },
  {
    name: "clean-up not noted before its first deletion",
    file: "src/takeover/delete-old.ts",
    find: `    writeRecord(sql, cleaning);
`,
    replace: ``,
    tests: [CLEAN_UP],
  },
  {
    name: "dry run of a clean-up cleans",
    file: "src/takeover/clean-up.ts",
    find: `if (dryRun) return { status: "noop", ...NOTHING, dryRun, keysToDelete,`,
    replace: `if (dryRun && keysToDelete < 0) return { status: "noop", ...NOTHING, dryRun, keysToDelete,`,
    tests: [CLEAN_UP],
  },
  {
    name: "clean-up of a room that cannot trust its storage",
    file: "worker/takeover-acts.ts",
    find: `return store.lost.length > 0 || store.lostUnknown ? "part of SQL storage is damaged" : null;`,
    replace: `return store.lost.length < 0 ? "" : null;`,
    tests: [CLEAN_UP],
  },
  {
    name: "clean-up where admin routes are off",
    file: "worker/takeover-routes.ts",
    find: `if (!call.env.YAOS_ENABLE_ADMIN_ROUTES) return errorAnswer(404, "not found");`,
    replace: ``,
    tests: [ROUTES],
  },
  {
    name: "pre-chunk document handed to anybody",
    file: "worker/takeover-routes.ts",
    find: `  if (!guarded.ok) return guarded.answer;
  if (!vault.ok) return errorAnswer(400, vault.fault);
  return`,
    replace: `  if (!vault.ok) return errorAnswer(400, vault.fault);
  return`,
    tests: [ROUTES],
  },

  // TK15: the way back.
  {
    name: "deletions alone pushed back with nothing that makes an old server save them",
    file: "scripts/push-back/pieces.ts",
    find: `deletions, lastSync(doc, nowMs)])];`,
    replace: `deletions])];`,
    tests: [PIECES],
  },
  {
    name: "pasted text cut inside a surrogate pair",
    file: "scripts/push-back/pieces.ts",
    find: `isInsidePair(text, at) ? at - 1 : at`,
    replace: `at`,
    tests: [PIECES],
  },
  {
    name: "vault that an old server cannot save sent to it",
    file: "scripts/push-back/send-vault.ts",
    find: `if (heaviest + deleteBytes <= MAX_SAVE_BYTES) return;`,
    replace: `if (heaviest + deleteBytes < Infinity) return;`,
    tests: [WAY_BACK],
  },
  {
    name: "push-back called done without looking",
    file: "scripts/push-back/send-vault.ts",
    find: `    await verify(vault, address, timings);
`,
    replace: ``,
    tests: [SEND_VAULT],
  },
  {
    name: "push-back looks for edits only, not for deletions",
    file: "scripts/push-back/send-vault.ts",
    find: `if (!covers(readFacts(theirs).deletes, vault.facts.deletes)) throw`,
    replace: `if (!covers(vault.facts.deletes, vault.facts.deletes)) throw`,
    tests: [SEND_VAULT],
  },
  {
    name: "push-back called saved while the old server fails to save",
    file: "scripts/push-back/save-watch.ts",
    find: `if (now.failedSaveCount > before.failedSaveCount) throw`,
    replace: `if (now.failedSaveCount > before.failedSaveCount) return;
      if (now.failedSaveCount < 0) throw`,
    tests: [WAY_BACK],
  },

  // TK17, TK20: what is told, and attachments.
  {
    name: "debug calls an incomplete takeover a finished one",
    file: "src/report/takeover.ts",
    find: `if (record.state === "incomplete") return "incomplete";`,
    replace: ``,
    tests: ["test/process/takeover.test.ts"],
  },
  {
    name: "vault with attachments counted as one that never used R2",
    file: "src/takeover/move.ts",
    find: `if (counter.blobPathCount > 0) new BlobStore`,
    replace: `if (counter.blobPathCount === Infinity) new BlobStore`,
    tests: [FORWARD],
  },
  {
    name: "piece sent while a save that cannot hold it is under way",
    file: "scripts/push-back/save-watch.ts",
    find: `while (idle.queuedSaveCount > 0)`,
    replace: `while (idle.queuedSaveCount > 99)`,
    tests: [SEND_VAULT],
  },
  {
    name: "deletions made since the last piece not counted",
    file: "scripts/push-back/send-vault.ts",
    find: `deletes = readFacts(await ask()).deletes;`,
    replace: ``,
    tests: [SEND_VAULT],
  },
  {
    name: "gaps excused for ever once there was a clean-up",
    file: "src/takeover/survey.ts",
    find: `return cleanedUpTo !== null && problem.upTo <= cleanedUpTo;`,
    replace: `return cleanedUpTo !== null;`,
    tests: [CLEAN_UP],
  },
  {
    name: "zeroed row taken for an empty update",
    file: "src/takeover/read-source.ts",
    find: `if (entry.sha256 === null && trailingBytes > 0 && outline.structs === 0)`,
    replace: `if (entry.sha256 === null && trailingBytes > 1e9 && outline.structs === 0)`,
    tests: ["test/takeover/lenient.test.ts"],
  },
  {
    name: "loss healed by clocks alone",
    file: "src/takeover/missing.ts",
    find: ` && hint.deletes !== null && covers(deletes, hint.deletes)`,
    replace: ``,
    tests: ["test/takeover/lenient.test.ts"],
  },
];
