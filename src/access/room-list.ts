/**
 * The rooms of an install that ever had a session: whom to tell when the owner's token changes, and which of them were told.
 * A request tells some hundreds of rooms and no more; what was told is kept, so that the next request goes on where it ended.
 */

import type { Sql } from "../ports.ts";

/** A room that still has to hear of a revocation or a rotation. The number stands for it in the report that it was told. */
export type RoomToTell = { readonly number: number; readonly vault: string };

/** How telling went, by the rooms' numbers. */
export type ToldRooms = { readonly told: readonly number[]; readonly failed: readonly number[] };

export class RoomList {
  readonly #sql: Sql;

  /** @param sql has the tables of schema.ts */
  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Notes a room. One that came after a rotation counts as not told of it: the answer to its registration may be lost. */
  add(vault: string, nowMs: number): void {
    this.#sql.exec(`INSERT INTO access_rooms (vault, turn) VALUES (?, ?) ON CONFLICT (vault) DO NOTHING`, vault, nowMs);
  }

  /** Vault ids, in order. A device's rooms are among them, also when the room itself never got to say that it exists. */
  list(): string[] {
    return this.#sql.exec<{ vault: string }>(`SELECT vault FROM access_rooms ORDER BY vault`).map((row) => row.vault);
  }

  /** Rooms not told yet of the rotation that made `epoch`, the newest first and those that did not answer last. */
  untold(epoch: number): RoomToTell[] {
    return this.#sql.exec<{ number: number; vault: string }>(`SELECT number, vault FROM access_rooms WHERE told_epoch < ? ORDER BY turn DESC, number DESC`, epoch);
  }

  /** Keeps how telling of `epoch` went. */
  report(epoch: number, { told, failed }: ToldRooms): void {
    this.#sql.transaction(() => {
      for (const number of told) this.#sql.exec(`UPDATE access_rooms SET told_epoch = max(told_epoch, ?) WHERE number = ?`, epoch, number);
      const last = this.#sql.exec<{ turn: number | null }>(`SELECT min(turn) AS turn FROM access_rooms`)[0]?.turn ?? 0;
      for (const number of failed) this.#sql.exec(`UPDATE access_rooms SET turn = ? WHERE number = ?`, Math.min(0, last) - 1, number);
    });
  }

  /** Forgets a vault that was erased. */
  forget(vault: string): void {
    this.#sql.transaction(() => {
      this.#sql.exec(`DELETE FROM access_rooms WHERE vault = ?`, vault);
      this.#sql.exec(`DELETE FROM access_device_rooms WHERE vault = ?`, vault);
    });
  }
}
