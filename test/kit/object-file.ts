import { createHash, createHmac } from "node:crypto";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import v8 from "node:v8";

/** What the runtime makes of Worker `yaos`, class `VaultSyncServer` and a vault id: the name of the object's database file. */
export function objectId(vault: string): string {
  const key = createHash("sha256").update("yaos-VaultSyncServer").digest();
  const mac = (bytes: string | Buffer): Buffer => createHmac("sha256", key).update(bytes).digest().subarray(0, 16);
  const base = mac(vault);
  return base.toString("hex") + mac(base).toString("hex");
}

/** Where the database of a vault's object lies under a data directory; the folder is made. */
export function objectPath(dataDir: string, vault: string): string {
  const folder = join(dataDir, "yaos-VaultSyncServer");
  mkdirSync(folder, { recursive: true });
  return join(folder, `${objectId(vault)}.sqlite`);
}

/** Puts the file of an older server's object where ours finds it. */
export function placeObject(dataDir: string, vault: string, file: string): void {
  copyFileSync(file, objectPath(dataDir, vault));
}

/** Writes an object's key-value storage as the runtime does, views with the whole of their buffers. */
export function writeObject(dataDir: string, vault: string, values: ReadonlyMap<string, unknown>): void {
  const database = new DatabaseSync(objectPath(dataDir, vault));
  database.exec(`CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID`);
  const put = database.prepare(`INSERT INTO _cf_KV (key, value) VALUES (?, ?)`);
  for (const [key, value] of values) put.run(key, serialized(value));
  database.close();
}

function serialized(value: unknown): Uint8Array {
  const serializer = new v8.Serializer();
  // Undocumented but stable; without it Node writes views in a form of its own.
  (serializer as unknown as { _setTreatArrayBufferViewsAsHostObjects(on: boolean): void })._setTreatArrayBufferViewsAsHostObjects(false);
  serializer.writeHeader();
  serializer.writeValue(value);
  return serializer.releaseBuffer();
}

/** Every row of every table of an object's file, for comparing before and after. */
export function readObject(dataDir: string, vault: string, table: string): unknown[] {
  const database = new DatabaseSync(objectPath(dataDir, vault), { readOnly: true });
  try {
    return database.prepare(`SELECT * FROM "${table}"`).all();
  } finally {
    database.close();
  }
}
