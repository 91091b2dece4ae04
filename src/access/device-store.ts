/** Devices: credentials the owner gave out, what each may do, and the rooms each was admitted to. Synchronous, over the config object's SQL. */

import { LIMITS } from "../limits.ts";
import type { Sql } from "../ports.ts";
import { sameDigest } from "./digest.ts";

/** Read and write, or read only. */
export type AccessMode = "rw" | "ro";

/** What a credential is good for. `vault` null: all vaults. */
export type Grant = { readonly name: string; readonly vault: string | null; readonly mode: AccessMode };

/** A device as the owner sees it; never its secret. Times in ms since the epoch. */
export type Device = Grant & {
  readonly id: string;
  readonly createdAt: number;
  readonly lastSeenAt: number | null;
  readonly revokedAt: number | null;
};

/** `epoch` goes to the room, which refuses it when a revocation came later. */
export type DeviceAdmission = { readonly ok: true; readonly mode: AccessMode; readonly epoch: number } | { readonly ok: false };

type DeviceRow = {
  id: string;
  secret_hash: string;
  name: string;
  vault: string | null;
  mode: AccessMode;
  epoch: number;
  created_ms: number;
  last_seen_ms: number | null;
  revoked_ms: number | null;
};

export class DeviceStore {
  readonly #sql: Sql;

  /** @param sql has the tables of schema.ts */
  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Keeps a new device; false when the install has `maxDevices` in force. */
  create(id: string, secretHash: string, grant: Grant, epoch: number, nowMs: number): boolean {
    return this.#sql.transaction(() => {
      if (this.#count("revoked_ms IS NULL") >= LIMITS.maxDevices) return false;
      this.#forgetOldest();
      this.#sql.exec(
        `INSERT INTO access_devices (id, secret_hash, name, vault, mode, epoch, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?)`,
        id,
        secretHash,
        grant.name,
        grant.vault,
        grant.mode,
        epoch,
        nowMs,
      );
      return true;
    });
  }

  /** All devices, the revoked ones too, oldest first. */
  list(): Device[] {
    return this.#sql.exec<DeviceRow>(`SELECT * FROM access_devices ORDER BY created_ms, id`).map((row) => ({
      id: row.id,
      name: row.name,
      vault: row.vault,
      mode: row.mode,
      createdAt: row.created_ms,
      lastSeenAt: row.last_seen_ms,
      revokedAt: row.revoked_ms,
    }));
  }

  /**
   * Ends a device and says which rooms to tell; null when there is none of this id. Revoking again says the rooms again, so that a caller who
   * did not reach all of them may repeat it.
   */
  revoke(id: string, nowMs: number): { readonly rooms: readonly string[]; readonly epoch: number } | null {
    return this.#sql.transaction(() => {
      const device = this.#find(id);
      if (device === undefined) return null;
      if (device.revoked_ms === null) this.#sql.exec(`UPDATE access_devices SET revoked_ms = ? WHERE id = ?`, nowMs, id);
      const rooms = this.#sql.exec<{ vault: string }>(`SELECT vault FROM access_device_rooms WHERE device = ? ORDER BY vault`, id);
      return { rooms: rooms.map((row) => row.vault), epoch: device.epoch };
    });
  }

  /**
   * Admits a device to a vault and notes that it was: from then on a revocation tells that room.
   * @param secretHash digest of the presented secret; null when a genuine ticket names the device
   */
  admit(id: string, secretHash: string | null, vault: string, nowMs: number): DeviceAdmission {
    return this.#sql.transaction(() => {
      const device = this.#find(id);
      if (device === undefined || device.revoked_ms !== null) return { ok: false };
      if (secretHash !== null && !sameDigest(device.secret_hash, secretHash)) return { ok: false };
      if (device.vault !== null && device.vault !== vault) return { ok: false };
      if (!this.#noteRoom(id, vault)) return { ok: false };
      // Rows are billed: a plugin that asks for fifty attachments is seen once.
      if (nowMs - (device.last_seen_ms ?? 0) >= LIMITS.lastSeenStepMs) {
        this.#sql.exec(`UPDATE access_devices SET last_seen_ms = ? WHERE id = ?`, nowMs, id);
      }
      return { ok: true, mode: device.mode, epoch: device.epoch };
    });
  }

  #noteRoom(id: string, vault: string): boolean {
    if (this.#sql.exec(`SELECT 1 FROM access_device_rooms WHERE device = ? AND vault = ?`, id, vault).length > 0) return true;
    const rooms = this.#sql.exec<{ n: number }>(`SELECT count(*) AS n FROM access_device_rooms WHERE device = ?`, id)[0]?.n ?? 0;
    if (rooms >= LIMITS.maxRoomsPerDevice) return false;
    this.#sql.exec(`INSERT INTO access_device_rooms (device, vault) VALUES (?, ?)`, id, vault);
    return true;
  }

  /** Makes room among the revoked: the oldest go, whose sockets were ended long ago. Their ids are random and never come again. */
  #forgetOldest(): void {
    if (this.#count("revoked_ms IS NOT NULL") < LIMITS.maxDevices) return;
    const oldest = this.#sql.exec<{ id: string }>(`SELECT id FROM access_devices WHERE revoked_ms IS NOT NULL ORDER BY revoked_ms LIMIT 1`)[0];
    if (oldest === undefined) return;
    this.#sql.exec(`DELETE FROM access_device_rooms WHERE device = ?`, oldest.id);
    this.#sql.exec(`DELETE FROM access_devices WHERE id = ?`, oldest.id);
  }

  #count(where: "revoked_ms IS NULL" | "revoked_ms IS NOT NULL"): number {
    return this.#sql.exec<{ n: number }>(`SELECT count(*) AS n FROM access_devices WHERE ${where}`)[0]?.n ?? 0;
  }

  #find(id: string): DeviceRow | undefined {
    return this.#sql.exec<DeviceRow>(`SELECT * FROM access_devices WHERE id = ?`, id)[0];
  }
}
