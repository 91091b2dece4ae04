/** Faults in what a single rule of SPEC.md says: limits that are not kept, counts that stand still, a platform that is not told. Tried with the others. */
import type { Fault } from "./faults.ts";

const LIMITS = "test/room/limits.test.ts";
const RULES = "test/room/rules.test.ts";
const RECEIPTS = "test/room/receipts.test.ts";
const ROOM = "test/room/room.test.ts";
const CONSOLE_LOG = "test/routes/console-log.test.ts";
const PLATFORM = "test/worker/room-platform.test.ts";
const KILL = "test/process/kill.test.ts";

export const RULE_FAULTS: readonly Fault[] = [
  // The promise, against the whole server: a bundle with this fault, killed while clients write.
  {
    name: "receipts before the commit, in a server that is killed",
    file: "src/room/edit-desk.ts",
    find: `commits.schedule(nowMs);
    if (taken.held !== null && taken.pieces.length === 0) return "held";`,
    replace: `commits.schedule(nowMs);
    receipts.dealtWith(session);
    receipts.sendCovered(session);
    if (taken.held !== null && taken.pieces.length === 0) return "held";`,
    tests: [KILL],
  },

  // Limits.
  {
    name: "any number of sessions let in",
    file: "src/room/entrance.ts",
    find: `if (this.#sessions.size >= LIMITS.maxSessionsPerRoom) {`,
    replace: `if (this.#sessions.size === Infinity) {`,
    tests: [LIMITS],
  },
  {
    name: "a room that cannot store takes without end",
    file: "src/room/edit-desk.ts",
    find: `(isUnproven ? LIMITS.maxUnprovenBytes : LIMITS.maxUnsavedBytes)`,
    replace: `(isUnproven ? Infinity : LIMITS.maxUnsavedBytes)`,
    tests: [RECEIPTS],
  },
  {
    name: "deletions of what nobody has kept without end",
    file: "src/room/ingest.ts",
    find: `if (unknown > LIMITS.maxUnknownDeleteRanges) throw`,
    replace: `if (unknown === Infinity) throw`,
    tests: [LIMITS],
  },
  {
    name: "vault of any size counted for debug",
    file: "src/report/vault-summary.ts",
    find: `if (bytes > LIMITS.maxSummaryVaultBytes) {`,
    replace: `if (bytes === Infinity) {`,
    tests: [LIMITS],
  },
  {
    name: "journal rows without end",
    file: "src/storage/vault-store.ts",
    find: `this.#journal.length >= LIMITS.checkpointJournalRows || this.journalBytes`,
    replace: `this.journalBytes`,
    tests: [LIMITS],
  },
  {
    name: "full window waits for its end",
    file: "src/room/commit-desk.ts",
    find: `if (window.byteLength >= LIMITS.commitWindowBytes) delayMs = 0;`,
    replace: ``,
    tests: [LIMITS],
  },
  {
    name: "client that needs what is lost waits a thousand times as long",
    file: "src/room/serving-desk.ts",
    find: `host.timers.after(LIMITS.refusalHoldMs, () => {`,
    replace: `host.timers.after(1_000 * LIMITS.refusalHoldMs, () => {`,
    tests: [RULES],
  },

  // Rules that are one observation each.
  {
    name: "receipt that was too long not counted",
    file: "src/room/receipt-desk.ts",
    find: `stats.receipts.failureOversize += 1;`,
    replace: ``,
    tests: [LIMITS],
  },
  {
    name: "client that lacks nothing served everything again",
    file: "src/room/serving-desk.ts",
    find: `if (session.live && this.#lacksNothing(vector)) {`,
    replace: `if (session.live && vector.size < 0) {`,
    tests: [RULES],
  },
  {
    name: "database of a newer server opened",
    file: "src/storage/schema.ts",
    find: `if (minSafe > SCHEMA_VERSION) throw new SchemaTooNewError(minSafe);`,
    replace: ``,
    tests: [RULES],
  },
  {
    name: "waking room reads all chunks",
    file: "src/room/room.ts",
    find: `const { gaps, damaged } = store.open();`,
    replace: `const { gaps, damaged } = store.open();
      for (const chunk of store.index.chunks) store.readChunk(chunk);`,
    tests: [RULES],
  },
  {
    name: "waking room writes",
    file: "src/room/room.ts",
    find: `const { gaps, damaged } = store.open();`,
    replace: `const { gaps, damaged } = store.open();
      if (!store.isFresh) store.prove(startedMs);`,
    tests: [ROOM],
  },
  {
    name: "frames written to the log",
    file: "src/room/room.ts",
    find: `this.counters.framesReceived += 1;`,
    replace: `this.counters.framesReceived += 1;
    this.#state.host.log.event("info", "frame", { data: String(data) });`,
    tests: [RULES],
  },
  {
    name: "rows of commits not counted as theirs",
    file: "src/room/commit-desk.ts",
    find: `stats.rowsWrittenBy.commit += host.sql.rowsWritten - rowsBefore;`,
    replace: ``,
    tests: [RULES],
  },
  {
    name: "whole room id logged",
    file: "worker/console-log.ts",
    find: `const tag = vaultTag(room);`,
    replace: `const tag = room; vaultTag(room);`,
    tests: [CONSOLE_LOG],
  },

  // The platform's edge, inside workerd and over a real database.
  {
    name: "alarm never set",
    file: "worker/room-object.ts",
    find: `return ctx.storage.setAlarm(atMs);`,
    replace: `return undefined;`,
    tests: [PLATFORM],
  },
  {
    name: "row of the alarm not counted",
    file: "worker/room-object.ts",
    find: `this.#sql.rowsWritten += 1;
            const room = this.#opener.opened;
            if (room !== null) room.stats.rowsWrittenBy.maintenance += 1;`,
    replace: ``,
    tests: [PLATFORM],
  },
  {
    name: "write the object died in forgotten",
    file: "worker/room-object.ts",
    find: `writeNotes.open(id, `,
    replace: `writeNotes.open(crypto.randomUUID(), `,
    tests: [PLATFORM],
  },
];
