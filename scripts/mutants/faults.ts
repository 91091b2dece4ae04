/**
 * The faults that `npm run mutants` plants: each a mistake somebody could make in earnest, in one place, with the tests that should notice.
 * `find` is replaced literally and must stand in the file exactly once, so a fault that no longer fits the source is reported instead of proving nothing.
 */
export interface Fault {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** Test files likely to catch it, tried first; the whole Node suite is tried when they do not. */
  readonly tests: readonly string[];
}

const RECEIPTS = "test/room/receipts.test.ts";
const RELAY = "test/room/relay.test.ts";
const BREAKER = "test/room/breaker.test.ts";
const DAMAGE = "test/room/damage.test.ts";
const HELD = "test/room/held.test.ts";
const ROOM_LIMITS = "test/room/room-limits.test.ts";
const STORE = "test/contract/node.test.ts";
const ROOM = "test/room/room.test.ts";
const PRESENCE = "test/room/presence.test.ts";
const NEWS = "test/update/news.test.ts";
const STRUCT_TABLE = "test/update/struct-table.test.ts";
const REWRITE = "test/update/rewrite.test.ts";
const ASSEMBLE = "test/update/assemble.test.ts";
const READER = "test/update/reader.test.ts";
const DELETE_SET = "test/update/delete-set.test.ts";
const FRAMES = "test/protocol/frames.test.ts";
const ADMISSION = "test/routes/admission.test.ts";
const TICKETS = "test/access/ticket.test.ts";
const CONFIG = "test/access/config-core.test.ts";
const CACHE = "test/access/config-cache.test.ts";
const SEND_BUDGET = "test/room/send-budget.test.ts";
const BIG_SEND = "test/room/big-send.test.ts";
const SPLIT = "test/room/split-serving.test.ts";
const ERROR_RING = "test/room/error-ring.test.ts";
const CHUNK_CUTS = "test/storage/chunk-cuts.test.ts";
const DAMAGE_CRASH = "test/room/damage-crash.test.ts";
const PRESENCE_CRASH = "test/room/presence-crash.test.ts";
const BLOB_STORE = "test/storage/blob-store.test.ts";
const TAKE_BODY = "test/attachments/take-body.test.ts";
const READ_PLAN = "test/attachments/read-plan.test.ts";

export const FAULTS: readonly Fault[] = [
  {
    name: "deletions out of order passed on as they came",
    file: "src/update/news.ts",
    find: `if (clock < this.#deleteEnd) this.whole = false;`,
    replace: ``,
    tests: ["test/update/unordered-deletes.test.ts"],
  },
  // Receipts: the promise of the whole server.
  {
    name: "receipt before the commit",
    file: "src/room/edit-desk.ts",
    find: `commits.schedule(nowMs);
    if (taken.held !== null && taken.pieces.length === 0) return "held";`,
    replace: `commits.schedule(nowMs);
    receipts.dealtWith(session);
    receipts.sendCovered(session);
    if (taken.held !== null && taken.pieces.length === 0) return "held";`,
    tests: [ROOM, RECEIPTS],
  },
  {
    name: "receipt while the connection has an uncommitted frame",
    file: "src/room/receipt-desk.ts",
    find: `this.#state.health.kind === "healthy" && session.durable === session.received) this.#send(session, "commit")`,
    replace: `this.#state.health.kind === "healthy") this.#send(session, "commit")`,
    tests: [RECEIPTS],
  },
  {
    name: "repeat of an uncommitted edit receipted at once",
    file: "src/room/edit-desk.ts",
    find: `if (!isNews && window.isEmpty && !commits.isStaging &&`,
    replace: `if (!isNews && !commits.isStaging &&`,
    tests: [RECEIPTS],
  },
  {
    name: "receipt to a client that cannot read text",
    file: "src/room/receipt-desk.ts",
    find: `if (!session.text) return;`,
    replace: ``,
    tests: [ROOM],
  },
  {
    name: "receipt with what is known instead of what is durable",
    file: "src/room/receipt-desk.ts",
    find: `this.#receiptVector ??= encodeStateVector(store.clocks.vector);`,
    replace: `this.#receiptVector ??= encodeStateVector(this.#state.ingest.known.vector);`,
    tests: [RECEIPTS],
  },
  {
    name: "one epoch for all connections",
    file: "src/room/entrance.ts",
    find: `epoch: clock.randomId()`,
    replace: `epoch: "epoch"`,
    tests: [RECEIPTS],
  },
  {
    name: "frames not counted on after hibernation",
    file: "src/room/session.ts",
    find: `session.received = stored.received;`,
    replace: ``,
    tests: [RECEIPTS],
  },
  {
    name: "oversized delta receipted before its publication",
    file: "src/room/commit-desk.ts",
    find: `this.#staging.start(closed);`,
    replace: `this.#committed(closed, 0);
        this.#staging.start(closed);`,
    tests: [RECEIPTS],
  },
  {
    name: "note of a commit that died ignored",
    file: "src/room/room.ts",
    find: `&& died !== null) {`,
    replace: `&& false) {`,
    tests: [RECEIPTS],
  },
  {
    name: "checkpoints that reset the object not counted",
    file: "src/room/write-note.ts",
    find: `failures.set(id, (failures.get(id) ?? 0) + 1);`,
    replace: ``,
    tests: [BREAKER],
  },
  {
    name: "a room that must prove itself receipts what is covered",
    file: "src/room/edit-desk.ts",
    find: `!commits.isStaging && this.#state.health.kind === "healthy" &&`,
    replace: `!commits.isStaging &&`,
    tests: [RECEIPTS],
  },
  {
    name: "relays joined without what came first",
    file: "src/room/relay-desk.ts",
    find: `const updates = items.map((item) => item.update);`,
    replace: `const updates = items.slice(-1).map((item) => item.update);`,
    tests: [RELAY],
  },
  {
    name: "relay sent back to its author in a shared frame",
    file: "src/room/relay-desk.ts",
    find: `if (authors.has(session)) {`,
    replace: `if (authors.size === 1 && authors.has(session)) {`,
    tests: [RELAY],
  },
  {
    name: "window dropped when its commit fails",
    file: "src/room/commit-window.ts",
    find: `this.#updates = [...batch.updates, ...this.#updates];`,
    replace: ``,
    tests: [RECEIPTS],
  },

  // Relay and cover test.
  {
    name: "update relayed to its author",
    file: "src/room/relay-desk.ts",
    find: `if (authors.has(session)) {`,
    replace: `if (authors.size === 0) {`,
    tests: [ROOM],
  },
  {
    name: "relay to a session that was not answered yet",
    file: "src/room/relay-desk.ts",
    find: `if (!session.live || session.closing) continue;`,
    replace: `if (session.closing) continue;`,
    tests: [RELAY],
  },
  {
    name: "cover test always true",
    file: "src/room/ingest.ts",
    find: `const pieces: Piece[] = [];`,
    replace: `const pieces: Piece[] = []; if (update.length > 0) return { pieces, held: null, released: [], overlaps: 0 };`,
    tests: [ROOM],
  },
  {
    name: "edit that only deletes treated as covered",
    file: "src/room/ingest.ts",
    find: `if (news.ready.length > 0 || !deletes.isEmpty) {`,
    replace: `if (news.ready.length > 0) {`,
    tests: [ROOM, RELAY],
  },
  {
    name: "client with stored deletions taken to have no new ones",
    file: "src/room/ingest.ts",
    find: `this.#store.deleteHash(client) === clientHash(deletes.ranges(client)!)`,
    replace: `this.#store.deleteHash(client) !== undefined`,
    tests: [RELAY],
  },
  {
    name: "hash of delete ranges constant",
    file: "src/update/delete-set.ts",
    find: `return (a >>> 0) * 0x200000 + ((b >>> 0) >>> 11);`,
    replace: `return 1;`,
    tests: [DELETE_SET, RELAY],
  },
  {
    name: "delete set dropped from an update that was cut",
    file: "src/room/ingest.ts",
    find: `update: whole ? update : withDeletes(news.readyUpdate, deletes)`,
    replace: `update: whole ? update : (news.readyUpdate ?? Uint8Array.of(0, 0))`,
    tests: [RELAY],
  },
  {
    name: "structs behind a gap relayed at once",
    file: "src/room/ingest.ts",
    find: `const pieces: Piece[] = [];`,
    replace: `const pieces: Piece[] = news.heldUpdate === null ? [] : [{ update: news.heldUpdate, ranges: [], deletes: news.deletes }];`,
    tests: [RELAY],
  },
  {
    name: "structs behind a gap never placed",
    file: "src/room/ingest.ts",
    find: `news.ready.length > 0 ? this.#releaseHeld(pieces, watch) : []`,
    replace: `news.ready.length > 0 && update.length === 0 ? this.#releaseHeld(pieces, watch) : []`,
    tests: [RELAY],
  },
  {
    name: "rows of structs behind a gap kept after they were placed",
    file: "src/storage/held.ts",
    find: "for (const row of rows) sql.exec(`DELETE FROM room_held WHERE key >= ? AND key < ?`",
    replace: "for (const row of []) sql.exec(`DELETE FROM room_held WHERE key >= ? AND key < ?`",
    tests: [RELAY],
  },
  {
    name: "parts of a held update joined in the wrong order",
    file: "src/storage/held.ts",
    find: `else rows.push({ row, update: joinParts(data) });`,
    replace: `else rows.push({ row, update: joinParts(data.reverse()) });`,
    tests: [HELD, STORE],
  },
  {
    name: "held update with a missing part taken for whole",
    file: "src/storage/held.ts",
    find: `if (data.length !== parts) damaged.push`,
    replace: `if (data.length > parts) damaged.push`,
    tests: [STORE],
  },
  {
    name: "checksum of held parts not compared",
    file: "src/storage/held.ts",
    find: `if (checksum(found.data) !== found.sum || `,
    replace: `if (`,
    tests: [STORE, HELD],
  },
  {
    name: "only the first part of a placed held update deleted",
    file: "src/storage/held.ts",
    find: "row * PARTS_PER_UPDATE, (row + 1) * PARTS_PER_UPDATE);\n}\n\n/** What is left",
    replace: "row * PARTS_PER_UPDATE, row * PARTS_PER_UPDATE + 1);\n}\n\n/** What is left",
    tests: [STORE],
  },
  {
    name: "bytes behind gaps never given back",
    file: "src/room/ingest.ts",
    find: `this.#heldBytes -= held.update.byteLength;`,
    replace: ``,
    tests: [HELD],
  },
  {
    name: "big held update dropped instead of placed",
    file: "src/room/ingest.ts",
    find: `this.#waiting.set(update, ranges);`,
    replace: `if (update.byteLength < 1e6) this.#waiting.set(update, ranges);`,
    tests: [HELD],
  },
  {
    name: "too much behind a gap closed for good",
    file: "src/protocol/close-codes.ts",
    find: `return error instanceof PendingFullError ? CLOSE.pendingFull : CLOSE.internal;`,
    replace: `return error instanceof PendingFullError ? CLOSE.tooLarge : CLOSE.internal;`,
    tests: [HELD],
  },

  // Storage.
  {
    name: "second copy of the index never read",
    file: "src/storage/room-index.ts",
    find: `const second = readCopy(sql, checksum, 2);`,
    replace: `const second = first;`,
    tests: [DAMAGE, STORE],
  },
  {
    name: "second copy of the index never written",
    file: "src/storage/room-index.ts",
    find: `for (const table of Object.values(COPY_TABLES)) {`,
    replace: `for (const table of [COPY_TABLES[1]]) {`,
    tests: [DAMAGE, STORE],
  },
  {
    name: "second copy of the index read without naming the first",
    file: "src/storage/room-index.ts",
    find: `return { index: second, damaged: [first] };`,
    replace: `return { index: second, damaged: [] };`,
    tests: [DAMAGE, STORE],
  },
  {
    name: "checksum of the index not compared",
    file: "src/storage/room-index.ts",
    find: `if (checksum(row.data) !== row.sum) return damaged("checksum-mismatch");`,
    replace: ``,
    tests: [STORE, DAMAGE],
  },
  {
    name: "room without any index taken for a new one",
    file: "src/storage/room-index.ts",
    find: `throw new DamagedRowError({ kind: "index" }, first.reason, { cause: first });`,
    replace: `return { index: EMPTY_INDEX, damaged: [] };`,
    tests: [DAMAGE, STORE],
  },
  {
    name: "delete set dropped from what is stored",
    file: "src/storage/vault-store.ts",
    find: `encodeRowSummary(batch.ranges, batch.deletes, this.#checksum)`,
    replace: `encodeRowSummary(batch.ranges, DeleteSet.empty, this.#checksum)`,
    tests: [ROOM],
  },
  {
    name: "checkpoint forgets the journal's deletions",
    file: "src/storage/vault-store.ts",
    find: `const added = oversized === null ? this.#journalDeletes :`,
    replace: `const added = oversized === null ? DeleteSet.empty :`,
    tests: [BREAKER, ROOM],
  },
  {
    name: "journal not counted as absorbed at a checkpoint",
    file: "src/storage/vault-store.ts",
    find: `absorbed: this.head,`,
    replace: `absorbed: index.absorbed,`,
    tests: [BREAKER],
  },
  {
    name: "new chunks published before the old ones",
    file: "src/storage/vault-store.ts",
    find: `chunks: [...stays, ...entries],`,
    replace: `chunks: [...entries, ...stays],`,
    tests: [BREAKER],
  },
  {
    name: "replaced and left-over chunk rows not dropped",
    file: "src/storage/chunk-store.ts",
    find: "sql.exec(`DELETE FROM room_chunk WHERE row = ?`, row);",
    replace: ``,
    tests: [BREAKER, RECEIPTS],
  },
  {
    name: "gap in the journal's sequence ignored",
    file: "src/storage/journal.ts",
    find: `for (; expected < row.slot; expected++) gaps.push(absorbed + expected);`,
    replace: ``,
    tests: [DAMAGE],
  },
  {
    name: "checksum of chunks not compared",
    file: "src/storage/chunk-store.ts",
    find: ` || checksum(bytes) !== entry.sum`,
    replace: ``,
    tests: [DAMAGE],
  },
  {
    name: "checksum of journal data not compared",
    file: "src/storage/journal.ts",
    find: `if (checksum(row.data) !== row.sum)`,
    replace: `if (row.sum < 0)`,
    tests: [DAMAGE],
  },
  {
    name: "checksum of journal summaries not compared",
    file: "src/storage/journal.ts",
    find: `if (checksum(body) !== sum)`,
    replace: `if (sum < 0)`,
    tests: [BREAKER],
  },
  {
    name: "checksum of delete rows not compared",
    file: "src/storage/delete-store.ts",
    find: `if (checksum(found.data) !== found.sum)`,
    replace: `if (found.sum < 0)`,
    tests: [DAMAGE],
  },
  {
    name: "circuit breaker never opens",
    file: "src/room/checkpoint-keeper.ts",
    find: `return this.totals.failuresInARow >= LIMITS.checkpointBreakerFailures;`,
    replace: `return false;`,
    tests: [BREAKER],
  },

  // Serving and damage.
  {
    name: "delete set dropped from what is served",
    file: "src/room/serve.ts",
    find: `store.encodeDeletes(window.deletes)`,
    replace: `Uint8Array.of(0)`,
    tests: [ROOM],
  },
  {
    name: "clients served around a hole",
    file: "src/room/serving-desk.ts",
    find: `#needsLost(vector: ReadonlyMap<number, number>): boolean {`,
    replace: `#needsLost(vector: ReadonlyMap<number, number>): boolean { if (vector.size >= 0) return false;`,
    tests: [DAMAGE],
  },
  {
    name: "damaged chunk left in use",
    file: "src/storage/vault-store.ts",
    find: `chunks: index.chunks.filter((chunk) => chunk !== entry), lost: [...index.lost, ...lost] };`,
    replace: `lost: [...index.lost, ...lost] };`,
    tests: [DAMAGE],
  },
  {
    name: "clocks of a damaged chunk forgotten",
    file: "src/storage/vault-store.ts",
    find: `lost: [...index.lost, ...lost] };`,
    replace: `lost: index.lost };`,
    tests: [DAMAGE],
  },
  {
    name: "Skip left out between runs of one client",
    file: "src/update/assemble.ts",
    find: `const skip = section.pieces.length === 0 ? 0 : from - end;`,
    replace: `const skip = 0;`,
    tests: [ASSEMBLE, REWRITE],
  },

  // The codec.
  {
    name: "cut struct names the wrong clock before it",
    file: "src/update/cut.ts",
    find: `writer.varUint(view.clock + from - 1);`,
    replace: `writer.varUint(view.clock + from);`,
    tests: [NEWS],
  },
  {
    name: "cut inside a surrogate pair keeps the whole character",
    file: "src/update/cut.ts",
    find: `start = 4 - start;`,
    replace: `start = -start;`,
    tests: [NEWS],
  },
  {
    name: "squash across a cut point",
    file: "src/update/chunk-builder.ts",
    find: `if (isCut || (kind !== DELETED && kind !== TEXT)) return false;`,
    replace: `if (kind !== DELETED && kind !== TEXT) return false;`,
    tests: [REWRITE],
  },
  {
    name: "values of one map key squashed while they show",
    file: "src/update/chunk-builder.ts",
    find: `if (kind === TEXT && (table.info[row]! & HAS_PARENT_SUB) !== 0) return false;`,
    replace: ``,
    tests: [REWRITE],
  },
  {
    name: "squash over different right origins",
    file: "src/update/chunk-builder.ts",
    find: `return right === table.rightClient[rowBefore] && (right === -1 || table.rightClock[row] === table.rightClock[rowBefore]);`,
    replace: `return right >= -1 && rowBefore >= 0;`,
    tests: [REWRITE],
  },
  {
    name: "boundaries that a source kept squashed away",
    file: "src/update/chunk-builder.ts",
    find: `if (from === table.clock[row] && table.source[row] === table.source[this.#row[before]!]) return false;`,
    replace: ``,
    tests: [REWRITE],
  },
  {
    name: "strip takes one clock too many",
    file: "src/update/splitter.ts",
    find: `edge = isDeleted ? ranges[rangeAt + 1]! : ranges[rangeAt]!;`,
    replace: `edge = isDeleted ? ranges[rangeAt + 1]! + 1 : ranges[rangeAt]!;`,
    tests: [REWRITE],
  },
  {
    name: "deep strip does not follow right origins",
    file: "src/update/splitter.ts",
    find: `if (right !== -1 && this.#isInGc(right, rightClock[row]!)) return true;`,
    replace: ``,
    tests: [REWRITE],
  },
  {
    name: "causal order does not wait for right origins",
    file: "src/update/causal-order.ts",
    find: `if (right !== -1 && this.#isAhead(right, rightClock[row]!)) {`,
    replace: `if (right < -1) {`,
    tests: [REWRITE],
  },
  {
    name: "strict reader takes trailing bytes",
    file: "src/update/reader.ts",
    find: `if (reader.left > 0) throw new UpdateRefusedError("trailing-bytes", reader.pos);`,
    replace: ``,
    tests: [READER],
  },
  {
    name: "structs of length zero taken",
    file: "src/update/reader.ts",
    find: `if (length === 0) throw new UpdateRefusedError("zero-length", start);`,
    replace: ``,
    tests: [READER],
  },
  {
    name: "contents of length zero taken",
    file: "src/update/content.ts",
    find: `if (length === 0) throw new UpdateRefusedError("zero-length", start);`,
    replace: ``,
    tests: [READER],
  },
  {
    name: "frame parsed before its size is checked",
    file: "src/protocol/frames.ts",
    find: `if (bytes.byteLength > LIMITS.maxFrameBytes) {`,
    replace: `const early = refusingAs("frame", () => parseMessage(new ByteReader(bytes))); if (early && bytes.byteLength > LIMITS.maxFrameBytes) {`,
    tests: [FRAMES],
  },

  // Presence.
  {
    name: "presence removed by another connection's close",
    file: "src/room/presence.ts",
    find: `for (const client of this.#owned.get(session) ?? []) {
      const known = this.#clients.get(client);
      if (known !== undefined) removals`,
    replace: `for (const client of this.#clients.keys()) {
      const known = this.#clients.get(client);
      if (known !== undefined) removals`,
    tests: [PRESENCE],
  },
  {
    name: "own presence never echoed to a quiet client",
    file: "src/room/presence-desk.ts",
    find: `if (outcome.echoNeeded && sender.silentMs(nowMs) >= LIMITS.awarenessEchoSilenceMs) {`,
    replace: `if (outcome.echoNeeded && nowMs < 0) {`,
    tests: [RELAY],
  },
  {
    name: "presence of a woken connection forgotten",
    file: "src/room/presence-desk.ts",
    find: `this.#presence.restore(session.id, session.owned);`,
    replace: ``,
    tests: [PRESENCE_CRASH],
  },
  {
    name: "presence ids not kept over hibernation",
    file: "src/room/session.ts",
    find: `session.owned = stored.owned;`,
    replace: ``,
    tests: [PRESENCE_CRASH],
  },

  // Big answers: turns within the isolate's budget, and vaults larger than a frame.
  {
    name: "grant never released",
    file: "src/room/send-budget.ts",
    find: `this.#grants = this.#grants.filter((other) => other !== grant);`,
    replace: ``,
    tests: [SEND_BUDGET, BIG_SEND],
  },
  {
    name: "small answers pass a big one that waits",
    file: "src/room/send-budget.ts",
    find: `if (this.#queue[0] !== ticket) return null;`,
    replace: ``,
    tests: [SEND_BUDGET],
  },
  {
    name: "bytes on their way not counted",
    file: "src/room/send-budget.ts",
    find: `this.#grants.length > 0 && this.#inFlightBytes + bytes`,
    replace: `bytes`,
    tests: [SEND_BUDGET, BIG_SEND],
  },
  {
    name: "an answer larger than the budget waits for ever",
    file: "src/room/send-budget.ts",
    find: `this.#grants.length > 0 && this.#inFlightBytes`,
    replace: `this.#inFlightBytes`,
    tests: [SEND_BUDGET],
  },
  {
    name: "place of a room that died kept",
    file: "src/room/send-budget.ts",
    find: `this.#queue = this.#queue.filter((other) => atMs - other.askedAtMs < EXPIRES_MS);`,
    replace: ``,
    tests: [SEND_BUDGET, BIG_SEND],
  },
  {
    name: "grant of a room that died kept",
    file: "src/room/send-budget.ts",
    find: `this.#grants = this.#grants.filter((grant) => atMs - grant.atMs < EXPIRES_MS);`,
    replace: ``,
    tests: [SEND_BUDGET],
  },
  {
    name: "client that left keeps its turn",
    file: "src/room/session-book.ts",
    find: `session.closing = true;
    session.stopServing?.();`,
    replace: `session.closing = true;`,
    tests: [BIG_SEND, SPLIT],
  },
  {
    name: "client that never answers keeps its turn",
    file: "src/room/serving-desk.ts",
    find: `cancelWait = timers.after(LIMITS.sendCreditWaitMs, goOn);`,
    replace: ``,
    tests: [BIG_SEND, SPLIT],
  },
  {
    name: "answer to a query gives nothing back",
    file: "src/room/room.ts",
    find: `session.onCredit?.();`,
    replace: ``,
    tests: [BIG_SEND],
  },
  {
    name: "big frame without a query after it",
    file: "src/room/serving-desk.ts",
    find: `session.send(queryAwarenessFrame(), clock.nowMs());`,
    replace: ``,
    tests: [BIG_SEND],
  },
  {
    name: "client that asks anew served twice",
    file: "src/room/serving-desk.ts",
    find: `session.parked = null;
    session.stopServing?.();`,
    replace: `session.parked = null;`,
    tests: [BIG_SEND],
  },
  {
    name: "answer decided before its wait sent after it",
    file: "src/room/serving-desk.ts",
    find: `planned = null;`,
    replace: ``,
    tests: [BIG_SEND],
  },
  {
    name: "split frames first first",
    file: "src/room/serve.ts",
    find: `frames.at(-1)!`,
    replace: `frames[0]!`,
    tests: [SPLIT],
  },
  {
    name: "relay before the closing frame",
    file: "src/room/serving-desk.ts",
    find: `if (step.closing) {`,
    replace: `session.live = true;
    if (step.closing) {`,
    tests: [SPLIT],
  },
  {
    name: "deletions sent before their structs",
    file: "src/room/serve.ts",
    find: `stepOf(frames.at(-1)!, false, EMPTY_DELETE_SET, readStored)`,
    replace: `stepOf(frames.at(-1)!, false, encodeDeleteSet(knownDeletes(store, window)), readStored)`,
    tests: [SPLIT],
  },
  {
    name: "vault larger than a frame sent in one",
    file: "src/room/serve.ts",
    find: `const isSplit = sent.size > 0 || stored.byteLength + tailBound(store, window) > LIMITS.maxServeFrameBytes;`,
    replace: `const isSplit = sent.size > 0;`,
    tests: [SPLIT],
  },
  {
    name: "chunks rewritten between two frames left out",
    file: "src/room/serve.ts",
    find: `store.index.chunks.filter((chunk) => !sent.has(chunk.id))`,
    replace: `store.index.chunks.filter((chunk) => chunk.id < Math.min(Infinity, ...sent))`,
    tests: [SPLIT],
  },
  {
    name: "closing frame without what came in between",
    file: "src/room/serve.ts",
    find: `const plan = tail.length === 0 ? stored : planFrame(all, has);`,
    replace: `const plan = tail.length === 0 || isSplit ? stored : planFrame(all, has);`,
    tests: [SPLIT],
  },

  // The stored error ring.
  {
    name: "error ring without an end",
    file: "src/storage/error-ring.ts",
    find: `number % LIMITS.storedErrorEntries,`,
    replace: `number,`,
    tests: [ERROR_RING],
  },
  {
    name: "stored errors listed oldest first",
    file: "src/storage/error-ring.ts",
    find: `SELECT at_ms, event, detail FROM room_errors ORDER BY number DESC`,
    replace: `SELECT at_ms, event, detail FROM room_errors ORDER BY number`,
    tests: [ERROR_RING],
  },
  {
    name: "every error of a storm stored",
    file: "src/room/error-keeper.ts",
    find: `if (atMs - this.#errorKeptAtMs < ERROR_PAUSE_MS) return;`,
    replace: ``,
    tests: [ERROR_RING],
  },
  {
    name: "error stored in the turn it happens in",
    file: "src/room/error-keeper.ts",
    find: `this.#state.host.timers.after(0, () => this.#store(atMs, event, detail));`,
    replace: `this.#store(atMs, event, detail);`,
    tests: [ERROR_RING],
  },
  {
    name: "error that cannot be stored thrown",
    file: "src/room/error-keeper.ts",
    find: `} catch {
      // Where even this fails, the log has it.
    }`,
    replace: `} catch (error) {
      throw error;
    }`,
    tests: [ERROR_RING],
  },

  // Cut points of sealed chunks.
  {
    name: "cut points dropped when chunks are folded",
    file: "src/storage/vault-store.ts",
    find: `const cuts = mergeCutPoints(old.map((chunk) => chunk.cuts));`,
    replace: `const cuts = NO_CUTS;`,
    tests: [CHUNK_CUTS],
  },
  {
    name: "chunk full of cut points never rewritten",
    file: "src/storage/vault-store.ts",
    find: ` || cutCount(chunk.cuts) > LIMITS.chunkCutPoints`,
    replace: ``,
    tests: [CHUNK_CUTS],
  },
  {
    name: "first clock of a run counted as a cut point",
    file: "src/storage/chunk-cuts.ts",
    find: `firstAbove(clocks, run.clock)`,
    replace: `firstAbove(clocks, run.clock - 1)`,
    tests: [CHUNK_CUTS],
  },
  {
    name: "cut points of earlier checkpoints forgotten",
    file: "src/storage/chunk-cuts.ts",
    find: `cuts: mergeCutPoints([chunk.cuts, added])`,
    replace: `cuts: added`,
    tests: [CHUNK_CUTS],
  },
  {
    name: "later structs' references not collected",
    file: "src/storage/vault-store.ts",
    find: `if (kept.length > 0) references.push(collectCutPoints([chunk]));`,
    replace: ``,
    tests: [CHUNK_CUTS],
  },

  // Damage, with a crash on the way.
  {
    name: "lost ranges not noted with the next checkpoint",
    file: "src/storage/vault-store.ts",
    find: `lost: this.lost,
        healers: this.#index.healers,`,
    replace: `lost: [],
        healers: null,`,
    tests: [DAMAGE_CRASH],
  },
  {
    name: "bytes of a damaged row thrown away",
    file: "src/storage/vault-store.ts",
    find: `const keep = (data: Uint8Array): void => keepDamaged(this.#sql, atMs, error, data);`,
    replace: `const keep = (_data: Uint8Array): void => {};`,
    tests: [DAMAGE_CRASH],
  },
  {
    name: "damaged rows set aside in memory only",
    file: "src/storage/vault-store.ts",
    find: `writeIndex(this.#sql, this.#checksum, index);`,
    replace: ``,
    tests: [DAMAGE_CRASH],
  },
  {
    name: "journal row set aside without naming its ranges",
    file: "src/storage/vault-store.ts",
    find: `lost: [...index.lost, ...(summary?.ranges ?? [])]`,
    replace: `lost: index.lost`,
    tests: [DAMAGE_CRASH],
  },

  // What a room stands, whatever it meets.
  {
    name: "proof of a new object without its index",
    file: "src/storage/vault-store.ts",
    find: `this.#makeTables();
      noteProof(`,
    replace: `migrate(this.#sql);
      noteProof(`,
    tests: [STORE],
  },
  {
    name: "a room without its schema version taken for a new one",
    file: "src/storage/schema.ts",
    find: `if (!Number.isSafeInteger(value) || value < 1) throw`,
    replace: `if (!Number.isSafeInteger(value) || value < 1) return 0; if (value === 0) throw`,
    tests: [STORE, DAMAGE],
  },
  {
    name: "a room without one of its tables taken for a new one",
    file: "src/storage/schema.ts",
    find: `if (missing.length > 0) throw`,
    replace: `if (missing.length > 0) return 0; if (missing.length > 0) throw`,
    tests: [STORE, DAMAGE],
  },
  {
    name: "a journal row with a wrong number overwritten as a gap",
    file: "src/storage/journal.ts",
    find: `if (row.slot > last || row.slot < 1) continue;`,
    replace: `if (row.slot > last || row.slot < 1 || row.summary === null) continue;`,
    tests: [STORE],
  },
  {
    name: "structs behind a gap dropped when their frame meets damage",
    file: "src/room/edit-desk.ts",
    find: `if (taken.held !== null) window.hold(taken.held, nowMs);
    if (isBig) serving.catchUpOthers(session, before);`,
    replace: `if (isBig) serving.catchUpOthers(session, before);
    if (taken.held !== null) window.hold(taken.held, nowMs);`,
    tests: [HELD],
  },
  {
    name: "what waited not sent to whoever closes its gap",
    file: "src/room/edit-desk.ts",
    find: `relays.pass(piece.wasHeld ? null : session, piece.update)`,
    replace: `relays.pass(session, piece.update)`,
    tests: [HELD],
  },
  {
    name: "deletions of an import counted as unknown",
    file: "src/room/ingest.ts",
    find: `const end = Math.max(this.#known.end(client), ends.get(client) ?? 0);`,
    replace: `const end = this.#known.end(client);`,
    tests: [ROOM_LIMITS],
  },
  {
    name: "unproven room that turns everybody away without trying",
    file: "src/room/edit-desk.ts",
    find: `commits.wantsProof = isUnproven;`,
    replace: ``,
    tests: [RECEIPTS],
  },
  {
    name: "damage met by an oversized edit left in place",
    file: "src/room/staging.ts",
    find: `if (error instanceof DamagedRowError) this.#owner.damaged(error);
        else {`,
    replace: `{`,
    tests: [DAMAGE],
  },
  {
    name: "sockets that slept not asked for what a wake misses",
    file: "src/room/room.ts",
    find: `if (this.#damage.isOpen && !isUnreadable) this.#damage.askEverybody();`,
    replace: ``,
    tests: [DAMAGE],
  },
  {
    name: "a commit takes away the note of a compaction under way",
    file: "src/room/write-note.ts",
    find: `if (counted?.isCounted === true && marks.get(other) === counted) marks.delete(other);`,
    replace: `marks.delete(other);`,
    tests: [BREAKER],
  },
  {
    name: "one death in a checkpoint counted at every wake",
    file: "src/room/write-note.ts",
    find: `if (checkpoint !== undefined && !checkpoint.isCounted) {`,
    replace: `if (checkpoint !== undefined) {`,
    tests: [BREAKER],
  },
  {
    name: "a commit put off while a relay waits",
    file: "src/room/commit-desk.ts",
    find: `this.#due(true)`,
    replace: `this.#due()`,
    tests: [RELAY],
  },
  {
    name: "more clients than a message may name",
    file: "src/room/ingest.ts",
    find: `this.#checkClients(news);`,
    replace: ``,
    tests: [ROOM_LIMITS],
  },
  {
    name: "no end to what waits for the disk",
    file: "src/room/edit-desk.ts",
    find: `(isUnproven ? LIMITS.maxUnprovenBytes : LIMITS.maxUnsavedBytes)`,
    replace: `(isUnproven ? LIMITS.maxUnprovenBytes : Infinity)`,
    tests: [ROOM_LIMITS],
  },
  {
    name: "no end to updates behind gaps",
    file: "src/room/ingest.ts",
    find: `|| this.#waiting.size >= LIMITS.maxPendingUpdates)`,
    replace: `)`,
    tests: [ROOM_LIMITS],
  },
  {
    name: "lost deletions healed by whoever has the structs",
    file: "src/room/ingest.ts",
    find: `isAnswer && this.#store.bringsLostDeletes(news.deletes)`,
    replace: `isAnswer`,
    tests: [DAMAGE],
  },
  {
    name: "lost deletions forgotten with the next checkpoint",
    file: "src/storage/vault-store.ts",
    find: `lostDeletes: this.#index.lostDeletes,`,
    replace: `lostDeletes: new Map(),`,
    tests: [DAMAGE],
  },
  {
    name: "newer deletions counted as those that were lost",
    file: "src/storage/vault-store.ts",
    find: `subtract(new DeleteSet(new Map([[client, ranges]])), this.#freshDeletes)`,
    replace: `new DeleteSet(new Map([[client, ranges]]))`,
    tests: [DAMAGE],
  },
  {
    name: "a row for every collected struct",
    file: "src/update/struct-table.ts",
    find: `if (view.ref === GC_REF && this.#joinsGc(view, row - 1)) return;`,
    replace: ``,
    tests: [STRUCT_TABLE],
  },
  {
    name: "collected structs joined over a gap",
    file: "src/update/struct-table.ts",
    find: ` || this.clock[before]! + this.length[before]! !== view.clock`,
    replace: ``,
    tests: [STRUCT_TABLE],
  },
  {
    name: "no end to the structs of an update",
    file: "src/update/news.ts",
    find: `++this.#structs > LIMITS.maxStructsPerUpdate`,
    replace: `++this.#structs > Infinity`,
    tests: [STRUCT_TABLE],
  },

  // Doors and access.
  {
    name: "admin routes open without their variable",
    file: "worker/routes.ts",
    find: `if (!call.env.YAOS_ENABLE_ADMIN_ROUTES) return errorAnswer(404, "not found");`,
    replace: `if (call.req.method === "GET") return errorAnswer(404, "not found");`,
    tests: [ADMISSION],
  },
  {
    name: "every token taken for the right one",
    file: "src/access/digest.ts",
    find: `return difference === 0;`,
    replace: `return difference >= 0;`,
    tests: [ADMISSION],
  },
  {
    name: "a ticket of another vault taken",
    file: "src/access/ticket.ts",
    find: `|| vault !== vaultId ||`,
    replace: `|| typeof vault !== typeof vaultId ||`,
    tests: [TICKETS],
  },
  {
    name: "an unreadable device in a ticket taken for the owner",
    file: "src/access/ticket.ts",
    find: `return isDeviceId(dev) ? { device: dev } : null;`,
    replace: `return { device: isDeviceId(dev) ? dev : null };`,
    tests: [TICKETS],
  },
  {
    name: "a revoked device admitted",
    file: "src/access/device-store.ts",
    find: `if (device === undefined || device.revoked_ms !== null) return { ok: false };`,
    replace: `if (device === undefined) return { ok: false };`,
    tests: [CONFIG],
  },
  {
    name: "a device admitted to vaults it does not cover",
    file: "src/access/device-store.ts",
    find: `if (device.vault !== null && device.vault !== vault) return { ok: false };`,
    replace: `if (device.vault !== null && vault === "") return { ok: false };`,
    tests: [CONFIG],
  },
  {
    name: "unclaimed kept for a minute",
    file: "src/access/config-cache.ts",
    find: `this.#known = config.claimed ? { config, readMs: startedMs } : null;`,
    replace: `this.#known = { config, readMs: startedMs };`,
    tests: [CACHE],
  },
  {
    name: "a second claim wins",
    file: "src/access/owner-record.ts",
    find: `if (this.read().claimed) return false;`,
    replace: `if (tokenHash === "") return false;`,
    tests: [CONFIG],
  },
  {
    name: "a pairing code good twice",
    file: "src/access/pairing-store.ts",
    find: `DELETE FROM access_pairings WHERE code_hash = ? AND expires_ms > ? RETURNING`,
    replace: `UPDATE access_pairings SET mode = mode WHERE code_hash = ? AND expires_ms > ? RETURNING`,
    tests: [CONFIG],
  },
  {
    name: "management by a token replaced a moment ago",
    file: "src/access/config-core.ts",
    find: `(isDigest(ownerHash) && this.#owner.isOwner(ownerHash))`,
    replace: `isDigest(ownerHash)`,
    tests: [CONFIG],
  },
  // Attachments.
  {
    name: "attachment of another hash stored",
    file: "worker/attachments/take-body.ts",
    find: `return digest.digest("hex") === hash ? null : "hashMismatch";`,
    replace: "return null;",
    tests: [TAKE_BODY],
  },
  {
    name: "attachment shorter than announced stored",
    file: "worker/attachments/take-body.ts",
    find: `if (announced !== null && received !== announced) return "lengthMismatch";`,
    replace: "",
    tests: [TAKE_BODY],
  },
  {
    name: "attachment above the limit read on",
    file: "worker/attachments/take-body.ts",
    find: `if (received > LIMITS.maxBlobUploadBytes) return "tooLarge";`,
    replace: "",
    tests: [TAKE_BODY],
  },
  {
    name: "attachment part served without its checksum",
    file: "src/storage/blob-store.ts",
    find: "if (!isWhole || this.#checksum(row.data) !== row.sum) throw",
    replace: "if (!isWhole) throw",
    tests: [BLOB_STORE],
  },
  {
    name: "attachment set aside still found",
    file: "src/storage/blob-store.ts",
    find: "WHERE hash = ? AND damaged_at_ms IS NULL",
    replace: "WHERE hash = ?",
    tests: [BLOB_STORE],
  },
  {
    name: "quota blind to uploads under way",
    file: "src/storage/blob-store.ts",
    find: "others += other.claimedBytes;",
    replace: "others += 0;",
    tests: [BLOB_STORE],
  },
  {
    name: "leftovers of a cut-off upload kept",
    file: "src/storage/blob-store.ts",
    find: "if (!underWay.has(id)) this.#sql.transaction(() => this.#removeStaged(id));",
    replace: "if (underWay.has(id)) this.#sql.transaction(() => this.#removeStaged(id));",
    tests: [BLOB_STORE],
  },
  {
    name: "old parts kept when an attachment is healed",
    file: "src/storage/blob-store.ts",
    find: "if (known !== undefined) this.#removeParts(known.id);",
    replace: "",
    tests: [BLOB_STORE],
  },
  {
    name: "dropped upload leaves its parts",
    file: "src/storage/blob-store.ts",
    find: "this.#uploads.delete(upload);\n    const { id } = upload;",
    replace: "this.#uploads.delete(upload);\n    const id = upload.isLost ? upload.id : null;",
    tests: [BLOB_STORE],
  },
  {
    name: "range served one byte short",
    file: "worker/attachments/read-plan.ts",
    find: "Math.min(Number(last) + 1, byteLength)",
    replace: "Math.min(Number(last), byteLength)",
    tests: [READ_PLAN],
  },
  {
    name: "range kept although the tag differs",
    file: "worker/attachments/read-plan.ts",
    find: "if (ifRange !== null && ifRange.trim() !== etag) return whole;",
    replace: "",
    tests: [READ_PLAN],
  },
];
