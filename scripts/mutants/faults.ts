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
const STORE = "test/contract/node.test.ts";
const ROOM = "test/room/room.test.ts";
const PRESENCE = "test/room/presence.test.ts";
const NEWS = "test/update/news.test.ts";
const REWRITE = "test/update/rewrite.test.ts";
const ASSEMBLE = "test/update/assemble.test.ts";
const READER = "test/update/reader.test.ts";
const DELETE_SET = "test/update/delete-set.test.ts";
const FRAMES = "test/protocol/frames.test.ts";
const ADMISSION = "test/routes/admission.test.ts";

export const FAULTS: readonly Fault[] = [
  // Receipts: the promise of the whole server.
  {
    name: "receipt before the commit",
    file: "src/room/room.ts",
    find: `this.#window.wait(session);`,
    replace: `session.durable = session.received; this.#sendReceipt(session, "commit"); this.#window.wait(session);`,
    tests: [ROOM, RECEIPTS],
  },
  {
    name: "receipt while the connection has an uncommitted frame",
    file: "src/room/room.ts",
    find: `this.#health.kind === "healthy" && session.durable === session.received) this.#sendReceipt(session, "commit")`,
    replace: `this.#health.kind === "healthy") this.#sendReceipt(session, "commit")`,
    tests: [RECEIPTS],
  },
  {
    name: "repeat of an uncommitted edit receipted at once",
    file: "src/room/room.ts",
    find: `if (!isNews && this.#window.isEmpty && !this.#staging) {`,
    replace: `if (!isNews && !this.#staging) {`,
    tests: [RECEIPTS],
  },
  {
    name: "receipt to a client that cannot read text",
    file: "src/room/room.ts",
    find: `if (!session.text) return;`,
    replace: ``,
    tests: [ROOM],
  },
  {
    name: "receipt with what is known instead of what is durable",
    file: "src/room/room.ts",
    find: `this.#receiptVector ??= encodeStateVector(this.#store.clocks.vector);`,
    replace: `this.#receiptVector ??= encodeStateVector(this.#ingest.known.vector);`,
    tests: [RECEIPTS],
  },
  {
    name: "one epoch for all connections",
    file: "src/room/room.ts",
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
    file: "src/room/room.ts",
    find: `this.#staging = true;`,
    replace: `this.#staging = true; this.#committed(closed, 0);`,
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
    file: "src/room/checkpoint-keeper.ts",
    find: `writeNote.checkpointFailures += 1;`,
    replace: ``,
    tests: [BREAKER],
  },
  {
    name: "a room that must prove itself receipts what is covered",
    file: "src/room/room.ts",
    find: `!this.#staging && this.#health.kind === "healthy") {`,
    replace: `!this.#staging) {`,
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
    file: "src/room/room.ts",
    find: `if (session === author || !session.live || session.closing) continue;
      frame ??=`,
    replace: `if (!session.live || session.closing) continue;
      frame ??=`,
    tests: [ROOM],
  },
  {
    name: "relay to a session that was not answered yet",
    file: "src/room/room.ts",
    find: `if (session === author || !session.live || session.closing) continue;
      frame ??=`,
    replace: `if (session === author || session.closing) continue;
      frame ??=`,
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
    find: `news.ready.length > 0 ? this.#releaseHeld(pieces) : []`,
    replace: `news.ready.length > 0 && update.length === 0 ? this.#releaseHeld(pieces) : []`,
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
    find: `chunks: [...kept.map((chunk) => withCuts(withDeletions(chunk, added), cuts)), ...entries],`,
    replace: `chunks: [...entries, ...kept.map((chunk) => withCuts(withDeletions(chunk, added), cuts))],`,
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
    find: `for (; expected < row.seq; expected++) gaps.push(expected);`,
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
    find: `encodeDeleteSet(deletes)`,
    replace: `EMPTY_DELETE_SET`,
    tests: [ROOM],
  },
  {
    name: "clients served around a hole",
    file: "src/room/room.ts",
    find: `#needsLost(has: (client: number) => number): boolean {`,
    replace: `#needsLost(has: (client: number) => number): boolean { if (has(0) >= 0) return false;`,
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

  // Doors.
  {
    name: "admin routes open without their variable",
    file: "worker/routes.ts",
    find: `if (act === "compact" && !call.env.YAOS_ENABLE_ADMIN_ROUTES) return`,
    replace: `if (act === "compact" && vault === undefined) return`,
    tests: [ADMISSION],
  },
  {
    name: "every token taken for the right one",
    file: "worker/admission.ts",
    find: `return difference === 0;`,
    replace: `return difference >= 0;`,
    tests: [ADMISSION],
  },
];
