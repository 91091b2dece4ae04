/** Devices: credentials the owner gave out, what each may do, and the rooms each had sockets in. Synchronous, over the config object's SQL. */

import { LIMITS } from "../limits.ts";
import type { Sql } from "../ports.ts";
import { sameDigest } from "./digest.ts";
import type { RoomToTell, ToldRooms } from "./room-list.ts";

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
export type DeviceAdmission = { readonly ok: true; readonly mode: AccessMode; readonly epoch: number } | DeviceRefusal;

/** `secretHash` when the device is in force and the secret was wrong: the digest of the right one, by which other wrong ones are known without asking. */
export type DeviceRefusal = { readonly ok: false; readonly secretHash?: string };

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
      if (this.isFull) return false;
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

  /** Whether no other device may be made. */
  get isFull(): boolean {
    return this.#count("revoked_ms IS NULL") >= LIMITS.maxDevices;
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
   * Ends a device and says which rooms to tell; null when there is none of this id. Revoking again says those that were not told yet, so that a
   * caller who did not reach all of them may repeat it: the latest first, those that did not answer last.
   */
  revoke(id: string, nowMs: number): { readonly rooms: readonly RoomToTell[]; readonly epoch: number } | null {
    return this.#sql.transaction(() => {
      const device = this.#find(id);
      if (device === undefined) return null;
      if (device.revoked_ms === null) this.#sql.exec(`UPDATE access_devices SET revoked_ms = ? WHERE id = ?`, nowMs, id);
      const rooms = this.#sql.exec<{ number: number; vault: string }>(
        `SELECT number, vault FROM access_device_rooms WHERE device = ? AND told = 0 ORDER BY turn DESC, number DESC`,
        id,
      );
      return { rooms, epoch: device.epoch };
    });
  }

  /** Keeps which rooms were told that this device is revoked. */
  report(id: string, { told, failed }: ToldRooms): void {
    this.#sql.transaction(() => {
      for (const number of told) this.#sql.exec(`UPDATE access_device_rooms SET told = 1 WHERE device = ? AND number = ?`, id, number);
      const last = this.#sql.exec<{ turn: number | null }>(`SELECT min(turn) AS turn FROM access_device_rooms WHERE device = ?`, id)[0]?.turn ?? 0;
      for (const number of failed) {
        this.#sql.exec(`UPDATE access_device_rooms SET turn = ? WHERE device = ? AND number = ?`, Math.min(0, last) - 1, id, number);
      }
    });
  }

  /**
   * Admits a device to a vault. With a socket it is noted that it was: from then on a revocation tells that room. Without one there is nothing to end.
   * @param secretHash digest of the presented secret; null when a genuine ticket names the device
   */
  admit(id: string, secretHash: string | null, vault: string, socket: boolean, nowMs: number): DeviceAdmission {
    return this.#sql.transaction(() => {
      const device = this.#find(id);
      if (device === undefined || device.revoked_ms !== null) return { ok: false };
      if (secretHash !== null && !sameDigest(device.secret_hash, secretHash)) return { ok: false, secretHash: device.secret_hash };
      if (device.vault !== null && device.vault !== vault) return { ok: false };
      if (socket && !this.#noteRoom(id, vault, nowMs)) return { ok: false };
      // Rows are billed: a plugin that asks for fifty attachments is seen once.
      if (nowMs - (device.last_seen_ms ?? 0) >= LIMITS.lastSeenStepMs) {
        this.#sql.exec(`UPDATE access_devices SET last_seen_ms = ? WHERE id = ?`, nowMs, id);
      }
      return { ok: true, mode: device.mode, epoch: device.epoch };
    });
  }

  #noteRoom(id: string, vault: string, nowMs: number): boolean {
    const noted = this.#sql.exec<{ number: number; turn: number }>(`SELECT number, turn FROM access_device_rooms WHERE device = ? AND vault = ?`, id, vault)[0];
    if (noted !== undefined) {
      // Billed as the last-seen time is: a device that comes back every second is noted once.
      if (nowMs - noted.turn >= LIMITS.lastSeenStepMs) this.#sql.exec(`UPDATE access_device_rooms SET turn = ? WHERE number = ?`, nowMs, noted.number);
      return true;
    }
    const rooms = this.#sql.exec<{ n: number }>(`SELECT count(*) AS n FROM access_device_rooms WHERE device = ?`, id)[0]?.n ?? 0;
    if (rooms >= LIMITS.maxRoomsPerDevice) return false;
    this.#sql.exec(`INSERT INTO access_device_rooms (device, vault, turn) VALUES (?, ?, ?)`, id, vault, nowMs);
    return true;
  }

  /** Makes room among the revoked: the oldest goes, one with rooms that were not told only when all have such. Their ids are random and never come again. */
  #forgetOldest(): void {
    if (this.#count("revoked_ms IS NOT NULL") < LIMITS.maxDevices) return;
    const oldest = this.#sql.exec<{ id: string }>(
      `SELECT id FROM access_devices WHERE revoked_ms IS NOT NULL
       ORDER BY EXISTS (SELECT 1 FROM access_device_rooms WHERE device = access_devices.id AND told = 0), revoked_ms LIMIT 1`,
    )[0];
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
