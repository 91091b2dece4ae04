/** The store of attachments on `node:sqlite`: what is visible when, what a crash leaves, what a full vault says. */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { BlobQuotaError, BlobReadLostError, BlobUploadLostError, DamagedBlobError } from "../../src/storage/blob-errors.ts";
import { BlobStore } from "../../src/storage/blob-store.ts";
import { joinParts } from "../../src/storage/parts.ts";
import { readSchemaVersion } from "../../src/storage/schema.ts";
import { checksum } from "../kit/checksum.ts";
import { FaultySql } from "../kit/faulty-sql.ts";
import { NodeSql } from "../kit/node-sql.ts";

const PART = LIMITS.blobPartBytes;
const QUOTA = 100 * PART;

function content(byteLength: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  let state = seed;
  for (let i = 0; i < byteLength; i++) {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    bytes[i] = state >>> 16;
  }
  return bytes;
}

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

function put(store: BlobStore, bytes: Uint8Array, pieceBytes = 65_536, quota = QUOTA): boolean {
  const upload = store.begin(hashOf(bytes), "image/png", bytes.byteLength, quota);
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) upload.write(bytes.slice(at, at + pieceBytes), 5);
  return upload.publish(5);
}

function get(store: BlobStore, hash: string, start = 0, end = Infinity): Uint8Array | null {
  const blob = store.find(hash);
  return blob === null ? null : joinParts([...store.read(blob, start, Math.min(end, blob.byteLength))]);
}

const rows = (sql: NodeSql, table: string): number => Number(sql.exec(`SELECT count(*) AS n FROM ${table}`)[0]!["n"]);

test("[AT6] what was put comes back, whole and in parts, however it was cut on its way", () => {
  const sql = new NodeSql();
  const store = new BlobStore(sql, checksum);
  for (const byteLength of [1, PART - 1, PART, PART + 1, 3 * PART, 10 * PART]) {
    for (const piece of [100_000, PART, 2 * PART + 7]) {
      const bytes = content(byteLength, byteLength + piece);
      expect(put(store, bytes, piece)).toBe(true);
      expect(store.find(hashOf(bytes))).toMatchObject({ byteLength, contentType: "image/png" });
      expect(Buffer.compare(get(store, hashOf(bytes))!, bytes)).toBe(0);
      for (const [start, end] of [[0, 1], [byteLength - 1, byteLength], [PART - 1, PART + 1], [PART, 2 * PART]] as const) {
        if (end > byteLength || start < 0) continue;
        expect(Buffer.compare(get(store, hashOf(bytes), start, end)!, bytes.subarray(start, end)), `${byteLength} ${start} ${end}`).toBe(0);
      }
    }
  }
  expect(rows(sql, "room_blob_staged")).toBe(0);
});

test("reading a room without attachments writes nothing, and the first attachment does not make the vault ours", () => {
  const sql = new NodeSql();
  const store = new BlobStore(sql, checksum);
  expect([store.find("0".repeat(64)), store.usage(), store.r2UsedAtMs]).toEqual([null, { count: 0, bytes: 0, damaged: 0 }, null]);
  store.dropLeftovers();
  expect(sql.rowsWritten).toBe(0);
  put(store, content(10));
  expect(readSchemaVersion(sql)).toBe(0);
});

test("a small attachment costs two rows, and putting it again none", () => {
  const sql = new NodeSql();
  const store = new BlobStore(sql, checksum);
  put(store, content(10));
  const before = sql.rowsWritten;
  put(store, content(20));
  expect(sql.rowsWritten - before).toBe(2);
  expect(put(store, content(20))).toBe(false);
  expect(sql.rowsWritten - before).toBe(2);
});

test("[AT7] nothing is visible before the publication, and a dropped upload leaves no row", () => {
  const sql = new NodeSql();
  const store = new BlobStore(sql, checksum);
  const bytes = content(3 * PART + 5);
  const upload = store.begin(hashOf(bytes), "a/b", null, QUOTA);
  upload.write(bytes, 1);
  expect([rows(sql, "room_blob_part"), store.find(hashOf(bytes)), store.usage().count]).toEqual([3, null, 0]);
  upload.drop();
  upload.drop();
  expect([rows(sql, "room_blob_part"), rows(sql, "room_blob_staged"), store.uploadCount]).toEqual([0, 0, 0]);
});

test("dropping after the publication keeps what was published", () => {
  const store = new BlobStore(new NodeSql(), checksum);
  const bytes = content(2 * PART + 5);
  const upload = store.begin(hashOf(bytes), "a/b", null, QUOTA);
  upload.write(bytes, 1);
  upload.publish(1);
  upload.drop();
  expect(Buffer.compare(get(store, hashOf(bytes))!, bytes)).toBe(0);
});

test("[AT7] an object that dies in the middle of an upload leaves parts that the next upload removes, and none of what is under way", () => {
  const sql = new NodeSql();
  const dead = new BlobStore(sql, checksum);
  dead.begin("1".repeat(64), "a/b", null, QUOTA).write(content(2 * PART + 1), 1);
  expect(rows(sql, "room_blob_part")).toBe(2);
  const store = new BlobStore(sql, checksum);
  const kept = content(2 * PART + 9, 7);
  const underWay = store.begin(hashOf(kept), "a/b", null, QUOTA);
  expect(rows(sql, "room_blob_part")).toBe(0);
  underWay.write(kept, 1);
  put(store, content(3 * PART, 8));
  expect(underWay.publish(1)).toBe(true);
  expect(Buffer.compare(get(store, hashOf(kept))!, kept)).toBe(0);
  expect(rows(sql, "room_blob_staged")).toBe(0);
});

test("[AT7] a crash at any statement of an upload leaves the attachment whole or absent", () => {
  const bytes = content(2 * PART + 100, 3);
  const hash = hashOf(bytes);
  let outcomes = "";
  for (let crashAtStatement = 1; ; crashAtStatement++) {
    const inner = new NodeSql();
    put(new BlobStore(inner, checksum), content(50, 9));
    const sql = new FaultySql(inner, { crashAtStatement });
    let crashed = false;
    try {
      const store = new BlobStore(sql, checksum);
      const upload = sql.turn(() => store.begin(hash, "a/b", null, QUOTA));
      for (let at = 0; at < bytes.byteLength; at += 300_000) {
        sql.turn(() => {
          upload.write(bytes.slice(at, at + 300_000), 1);
        });
      }
      sql.turn(() => upload.publish(1));
    } catch {
      crashed = true;
    }
    const after = new BlobStore(inner, checksum);
    const found = get(after, hash);
    if (found !== null) expect(Buffer.compare(found, bytes), `statement ${crashAtStatement}`).toBe(0);
    outcomes += found === null ? "-" : "+";
    expect(put(after, bytes)).toBe(found === null);
    expect([rows(inner, "room_blob_part"), rows(inner, "room_blob_staged")], `statement ${crashAtStatement}`).toEqual([4, 0]);
    expect(Buffer.compare(get(after, hash)!, bytes)).toBe(0);
    if (!crashed) break;
  }
  expect(outcomes).toMatch(/^-{5,}\+$/);
});

test("[AT8] two uploads of one content at once: one attachment, no leftovers, and the quota counts it once", () => {
  const sql = new NodeSql();
  const store = new BlobStore(sql, checksum);
  const bytes = content(2 * PART + 5);
  const [a, b] = [0, 1].map(() => store.begin(hashOf(bytes), "a/b", bytes.byteLength, bytes.byteLength));
  for (let at = 0; at < bytes.byteLength; at += 700_000) for (const upload of [a!, b!]) upload.write(bytes.slice(at, at + 700_000), 1);
  expect([b!.publish(1), a!.publish(1)]).toEqual([true, false]);
  expect([rows(sql, "room_blob"), rows(sql, "room_blob_part"), rows(sql, "room_blob_staged"), store.uploadCount]).toEqual([1, 3, 0, 0]);
  expect(Buffer.compare(get(store, hashOf(bytes))!, bytes)).toBe(0);
});

test("[AT9] a full vault refuses by the announced length, and by what came when none was announced; what is under way counts", () => {
  const store = new BlobStore(new NodeSql(), checksum);
  for (const byteLength of [500, 300, 200]) put(store, content(byteLength));
  expect(() => store.begin("1".repeat(64), "a/b", 501, 1_500)).toThrow(BlobQuotaError);
  const first = store.begin("1".repeat(64), "a/b", 300, 1_500);
  expect(() => store.begin("2".repeat(64), "a/b", 201, 1_500)).toThrow(BlobQuotaError);
  const second = store.begin("2".repeat(64), "a/b", null, 1_500);
  second.write(content(200), 1);
  expect(() => {
    second.write(content(1), 1);
  }).toThrow(BlobQuotaError);
  second.drop();
  first.drop();
  store.begin("2".repeat(64), "a/b", 500, 1_500).drop();
  expect(store.usage()).toEqual({ count: 3, bytes: 1_000, damaged: 0 });
});

test("[AT10] an attachment with a bad or missing part counts as absent, keeps its rows, and is whole again when it comes again", () => {
  for (const harm of [`UPDATE room_blob_part SET data = x'00' WHERE row % 64 = 1`, `DELETE FROM room_blob_part WHERE row % 64 = 1`, `UPDATE room_blob_part SET sum = 1 WHERE row % 64 = 1`]) {
    const sql = new NodeSql();
    const store = new BlobStore(sql, checksum);
    const bytes = content(2 * PART + 5);
    put(store, bytes);
    sql.exec(harm);
    const blob = store.find(hashOf(bytes))!;
    expect(() => [...store.read(blob, 0, blob.byteLength)]).toThrow(DamagedBlobError);
    store.setAside(blob, 7);
    const left = rows(sql, "room_blob_part");
    expect([store.find(hashOf(bytes)), store.usage().damaged, left >= 2]).toEqual([null, 1, true]);
    expect(put(store, bytes)).toBe(true);
    expect(Buffer.compare(get(store, hashOf(bytes))!, bytes)).toBe(0);
    expect([rows(sql, "room_blob_part"), store.usage()]).toEqual([3, { count: 1, bytes: bytes.byteLength, damaged: 0 }]);
  }
});

test("an erased room forgets what it counted, and an upload under way is refused instead of published in half", () => {
  const sql = new NodeSql();
  const store = new BlobStore(sql, checksum);
  put(store, content(1_000));
  const bytes = content(2 * PART + 5, 4);
  const upload = store.begin(hashOf(bytes), "a/b", null, QUOTA);
  upload.write(bytes.slice(0, PART + 1), 1);
  for (const table of ["room_blob", "room_blob_part", "room_blob_staged", "room_blob_note"]) sql.exec(`DROP TABLE ${table}`);
  put(store, content(5, 6));
  expect(() => {
    upload.write(bytes.slice(PART + 1), 1);
    upload.publish(1);
  }).toThrow(BlobUploadLostError);
  upload.drop();
  expect([store.usage(), rows(sql, "room_blob_part")]).toEqual([{ count: 1, bytes: 5, damaged: 0 }, 1]);
});

test("[AT12] what was under way in a store that ended is lost, though the room has its tables again, and takes nothing from what came since", () => {
  const sql = new NodeSql();
  const store = new BlobStore(sql, checksum);
  const [old, cut, fresh] = [content(3 * PART, 1), content(2 * PART + 5, 2), content(3 * PART, 3)];
  put(store, old);
  const blob = store.find(hashOf(old))!;
  const pieces = store.read(blob, 0, blob.byteLength);
  pieces.next();
  const [staged, small] = [store.begin(hashOf(cut), "a/b", null, QUOTA), store.begin("1".repeat(64), "a/b", null, QUOTA)];
  staged.write(cut.slice(0, PART + 1), 1);
  small.write(content(9), 1);
  for (const table of ["room_blob", "room_blob_part", "room_blob_staged", "room_blob_note"]) sql.exec(`DROP TABLE ${table}`);
  store.end();
  const next = new BlobStore(sql, checksum);
  put(next, fresh);
  expect(() => pieces.next()).toThrow(BlobReadLostError);
  store.setAside(blob, 1);
  for (const upload of [staged, small]) {
    expect(() => upload.publish(1)).toThrow(BlobUploadLostError);
    upload.drop();
  }
  expect([store.uploadCount, next.usage(), rows(sql, "room_blob_part")]).toEqual([0, { count: 1, bytes: fresh.byteLength, damaged: 0 }, 3]);
  expect(Buffer.compare(get(next, hashOf(fresh))!, fresh)).toBe(0);
});

test("[AT12] a room that begins anew does not give out the ids it had before", () => {
  const sql = new NodeSql();
  const idAfter = (atMs: number): number => {
    const store = new BlobStore(sql, checksum);
    const upload = store.begin(hashOf(content(1)), "a/b", null, QUOTA);
    upload.write(content(1), atMs);
    upload.publish(atMs);
    return store.find(hashOf(content(1)))!.id;
  };
  const before = idAfter(1_700_000_000_000);
  for (const table of ["room_blob", "room_blob_part", "room_blob_staged", "room_blob_note"]) sql.exec(`DROP TABLE ${table}`);
  expect(idAfter(1_700_000_000_001)).toBeGreaterThan(before);
  // Part rows must stay whole numbers for JavaScript, for longer than anybody uses this.
  expect(Number.isSafeInteger((idAfter(Date.UTC(2500, 0)) + 1) * 64)).toBe(true);
});

test("[AT9] a damaged attachment does not count against its replacement, and against others it does", () => {
  const sql = new NodeSql();
  const store = new BlobStore(sql, checksum);
  put(store, content(1_000));
  store.setAside(store.find(hashOf(content(1_000)))!, 7);
  expect(() => put(store, content(501, 2), 65_536, 1_500)).toThrow(BlobQuotaError);
  expect(put(store, content(1_000), 65_536, 1_500)).toBe(true);
  expect(store.usage()).toEqual({ count: 1, bytes: 1_000, damaged: 0 });
});

test("[AT4] that R2 was used is written once", () => {
  const sql = new NodeSql();
  const store = new BlobStore(sql, checksum);
  store.noteR2Used(5);
  const before = sql.rowsWritten;
  store.noteR2Used(6);
  expect([sql.rowsWritten, new BlobStore(sql, checksum).r2UsedAtMs]).toEqual([before, 5]);
});
