/**
 * Attachments in the room's own database: a name row per attachment (its SHA-256) and its bytes in part rows.
 *
 * An upload writes parts as they come, under an id that nothing names, and is published by one short transaction that inserts the name. What was not
 * published is no attachment; its parts are noted in `room_blob_staged` and dropped later. Attachments never change, and nobody deletes single ones.
 *
 * The tables are apart from the room's migrations, and made with the first upload: an attachment may come before the first edit, and the presence of the
 * room's own tables says that the vault is ours and no older server's.
 */
import { LIMITS } from "../limits.ts";
import type { Checksum, Sql } from "../ports.ts";
import { BlobQuotaError, BlobReadLostError, BlobUploadLostError, DamagedBlobError } from "./blob-errors.ts";
import { BlobUpload } from "./blob-upload.ts";

/** One published attachment. */
export interface BlobInfo {
  /** Lowercase hex SHA-256 of the content. */
  readonly hash: string;
  readonly id: number;
  readonly byteLength: number;
  /** As the uploader named it. */
  readonly contentType: string;
}

/** What the attachments of a room amount to. */
export interface BlobUsage {
  readonly count: number;
  /** Bytes of content, damaged attachments included. */
  readonly bytes: number;
  readonly damaged: number;
}

/** Part rows of id n have the keys from n times this on. */
const PARTS_PER_BLOB = 64;
const PART_BYTES = LIMITS.blobPartBytes;

if (PARTS_PER_BLOB * PART_BYTES < LIMITS.maxBlobUploadBytes) throw new Error("blob store: the parts of one attachment must hold the largest");

const TABLES = [
  // `damaged_at_ms`: a part of it could not be read. It counts as absent; its rows stay until the same content is uploaded again.
  `CREATE TABLE IF NOT EXISTS room_blob (
     hash TEXT PRIMARY KEY, id INTEGER NOT NULL, bytes INTEGER NOT NULL, type TEXT NOT NULL, at_ms INTEGER NOT NULL, damaged_at_ms INTEGER) STRICT, WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS room_blob_part (row INTEGER PRIMARY KEY, sum INTEGER NOT NULL, data BLOB NOT NULL) STRICT`,
  // Ids whose parts are written ahead of their name. Uploads of a single part need none.
  `CREATE TABLE IF NOT EXISTS room_blob_staged (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT`,
  `CREATE TABLE IF NOT EXISTS room_blob_note (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID`,
];

/** All attachments of one room. Reading writes nothing. */
export class BlobStore {
  readonly #sql: Sql;
  readonly #checksum: Checksum;
  readonly #uploads = new Set<BlobUpload>();
  /** Sums of the name rows, once they were needed. */
  #usage: BlobUsage | null = null;
  #nextId = 0;
  #isOver = false;

  constructor(sql: Sql, checksum: Checksum) {
    this.#sql = sql;
    this.#checksum = checksum;
  }

  /** The attachment of this hash, or null when there is none that can be read. */
  find(hash: string): BlobInfo | null {
    if (!this.#hasTables()) return null;
    const row = this.#sql.exec<{ id: number; bytes: number; type: string }>(
      `SELECT id, bytes, type FROM room_blob WHERE hash = ? AND damaged_at_ms IS NULL`,
      hash,
    )[0];
    return row === undefined ? null : { hash, id: row.id, byteLength: row.bytes, contentType: row.type };
  }

  /**
   * Bytes `start` to `end` (exclusive) as pieces of at most `blobPartBytes`, each read and checked when it is asked for.
   * @throws {DamagedBlobError} from the iterator; call `setAside` then. {BlobReadLostError}
   */
  *read(blob: BlobInfo, start: number, end: number): Generator<Uint8Array, void, void> {
    for (let part = Math.floor(start / PART_BYTES); part * PART_BYTES < end; part++) {
      // Its rows are gone, and others may stand in their place.
      if (this.#isOver) throw new BlobReadLostError();
      const row = this.#sql.exec<{ sum: number; data: Uint8Array }>(
        `SELECT sum, data FROM room_blob_part WHERE row = ?`,
        blob.id * PARTS_PER_BLOB + part,
      )[0];
      const from = part * PART_BYTES;
      if (row === undefined) throw new DamagedBlobError("part-missing");
      const isWhole = row.data.byteLength === Math.min(PART_BYTES, blob.byteLength - from);
      if (!isWhole || this.#checksum(row.data) !== row.sum) throw new DamagedBlobError("checksum-mismatch");
      yield row.data.subarray(Math.max(0, start - from), Math.min(row.data.byteLength, end - from));
    }
  }

  /** From now on the attachment counts as absent, so that whoever has it brings it again. */
  setAside(blob: BlobInfo, atMs: number): void {
    if (this.#isOver) return;
    this.#sql.exec(`UPDATE room_blob SET damaged_at_ms = ? WHERE hash = ? AND id = ?`, atMs, blob.hash, blob.id);
    this.#usage = null;
  }

  usage(): BlobUsage {
    if (!this.#hasTables()) return { count: 0, bytes: 0, damaged: 0 };
    this.#usage ??= this.#sql.exec<{ count: number; bytes: number; damaged: number }>(
      `SELECT count(*) AS count, coalesce(sum(bytes), 0) AS bytes, count(damaged_at_ms) AS damaged FROM room_blob`,
    )[0]!;
    return this.#usage;
  }

  /** The room was erased, or begins anew: whatever is under way here is lost, even when the tables are there again. A new store serves what comes next. */
  end(): void {
    this.#isOver = true;
    for (const upload of this.#uploads) upload.isLost = true;
    this.#uploads.clear();
  }

  /** Uploads under way. */
  get uploadCount(): number {
    return this.#uploads.size;
  }

  /**
   * Begins an upload; end it by `publish` or `drop`.
   * @param announced bytes the sender announced, or null @param quotaBytes for all attachments together, those under way included
   * @throws {BlobQuotaError} when the announced bytes do not fit.
   */
  begin(hash: string, contentType: string, announced: number | null, quotaBytes: number): BlobUpload {
    this.dropLeftovers();
    const upload = new BlobUpload(hash, contentType, announced ?? 0);
    upload.room = {
      stage: (part, data, atMs) => {
        this.#stage(upload, part, data, atMs);
      },
      checkQuota: () => {
        // Two uploads of the same content take their room once.
        let others = 0;
        const counted = new Set([hash]);
        for (const other of this.#uploads) {
          if (counted.has(other.hash)) continue;
          counted.add(other.hash);
          others += other.claimedBytes;
        }
        const kept = this.usage().bytes - this.#damagedBytes(hash);
        if (kept + others + upload.claimedBytes > quotaBytes) throw new BlobQuotaError();
      },
      publish: (tail, atMs) => this.#publish(upload, tail, atMs),
      drop: () => {
        this.#drop(upload);
      },
    };
    upload.room.checkQuota();
    this.#uploads.add(upload);
    return upload;
  }

  /** Removes the parts of uploads that ended with an earlier instance. Writes nothing when there are none. */
  dropLeftovers(): void {
    if (!this.#hasTables()) return;
    const underWay = new Set([...this.#uploads].map((upload) => upload.id));
    for (const { id } of this.#sql.exec<{ id: number }>(`SELECT id FROM room_blob_staged`)) {
      if (!underWay.has(id)) this.#sql.transaction(() => this.#removeStaged(id));
    }
  }

  /** When this vault first kept attachments in R2, or null. */
  get r2UsedAtMs(): number | null {
    if (!this.#hasTables()) return null;
    const row = this.#sql.exec<{ value: string }>(`SELECT value FROM room_blob_note WHERE key = 'r2Used'`)[0];
    return row === undefined ? null : Number(row.value);
  }

  /** Remembers that this vault has attachments in R2. Writes once. */
  noteR2Used(atMs: number): void {
    if (this.r2UsedAtMs !== null) return;
    this.#makeTables();
    this.#sql.exec(`INSERT INTO room_blob_note (key, value) VALUES ('r2Used', ?)`, String(atMs));
  }

  /** Looked up each time: an erased room loses its tables, and what was counted or under way before is void. */
  #hasTables(): boolean {
    if (this.#sql.exec(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'room_blob'`).length > 0) return true;
    this.#usage = null;
    for (const upload of this.#uploads) if (upload.id !== null) upload.isLost = true;
    return false;
  }

  #makeTables(): void {
    if (!this.#hasTables()) for (const table of TABLES) this.#sql.exec(table);
  }

  /** Bytes of the damaged attachment that an upload of this hash replaces. */
  #damagedBytes(hash: string): number {
    if (this.usage().damaged === 0) return 0;
    return this.#sql.exec<{ bytes: number }>(`SELECT bytes FROM room_blob WHERE hash = ? AND damaged_at_ms IS NOT NULL`, hash)[0]?.bytes ?? 0;
  }

  /** From the time on, so that a room that was erased and fills again does not give out the ids it had before. */
  #takeId(atMs: number): number {
    const last = this.#sql.exec<{ last: number | null }>(`SELECT max(row) AS last FROM room_blob_part`)[0]?.last ?? 0;
    this.#nextId = Math.max(this.#nextId, Math.floor(last / PARTS_PER_BLOB) + 1, atMs);
    return this.#nextId++;
  }

  #stage(upload: BlobUpload, part: number, data: Uint8Array, atMs: number): void {
    this.#sql.transaction(() => {
      this.#expectStanding(upload);
      if (upload.id === null) {
        const id = this.#takeId(atMs);
        this.#sql.exec(`INSERT INTO room_blob_staged (id, at_ms) VALUES (?, ?)`, id, atMs);
        this.#insertPart(id, part, data);
        upload.id = id;
      } else {
        this.#insertPart(upload.id, part, data);
      }
    });
  }

  /** @throws {BlobUploadLostError} */
  #expectStanding(upload: BlobUpload): void {
    if (!upload.isLost) this.#makeTables();
    if (upload.isLost) throw new BlobUploadLostError();
  }

  #insertPart(id: number, part: number, data: Uint8Array): void {
    this.#sql.exec(`INSERT INTO room_blob_part (row, sum, data) VALUES (?, ?, ?)`, id * PARTS_PER_BLOB + part, this.#checksum(data), data);
  }

  /** @returns false when somebody else published the same content first: the attachment is there all the same */
  #publish(upload: BlobUpload, tail: { readonly part: number; readonly data: Uint8Array } | null, atMs: number): boolean {
    const outcome = this.#sql.transaction(() => {
      this.#expectStanding(upload);
      const known = this.#sql.exec<{ id: number; damaged_at_ms: number | null }>(`SELECT id, damaged_at_ms FROM room_blob WHERE hash = ?`, upload.hash)[0];
      if (known !== undefined && known.damaged_at_ms === null) return "known";
      const id = upload.id ?? this.#takeId(atMs);
      if (tail !== null) this.#insertPart(id, tail.part, tail.data);
      if (upload.id !== null) this.#sql.exec(`DELETE FROM room_blob_staged WHERE id = ?`, id);
      if (known !== undefined) this.#removeParts(known.id);
      this.#sql.exec(
        `INSERT INTO room_blob (hash, id, bytes, type, at_ms) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (hash) DO UPDATE SET id = excluded.id, bytes = excluded.bytes, type = excluded.type, at_ms = excluded.at_ms, damaged_at_ms = NULL`,
        upload.hash,
        id,
        upload.byteLength,
        upload.contentType,
        atMs,
      );
      return known === undefined ? "new" : "healed";
    });
    if (outcome === "known") {
      this.#drop(upload);
      return false;
    }
    this.#uploads.delete(upload);
    const usage = this.#usage;
    this.#usage = outcome === "healed" || usage === null ? null : { ...usage, count: usage.count + 1, bytes: usage.bytes + upload.byteLength };
    return true;
  }

  #drop(upload: BlobUpload): void {
    this.#uploads.delete(upload);
    const { id } = upload;
    if (id === null || upload.isLost || !this.#hasTables()) return;
    this.#sql.transaction(() => this.#removeStaged(id));
  }

  #removeStaged(id: number): void {
    this.#removeParts(id);
    this.#sql.exec(`DELETE FROM room_blob_staged WHERE id = ?`, id);
  }

  #removeParts(id: number): void {
    this.#sql.exec(`DELETE FROM room_blob_part WHERE row >= ? AND row < ?`, id * PARTS_PER_BLOB, (id + 1) * PARTS_PER_BLOB);
  }
}
