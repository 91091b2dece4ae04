/** The rooms of an install that ever had a session: whom to tell when the owner's token changes. */

import type { Sql } from "../ports.ts";

export class RoomList {
  readonly #sql: Sql;

  /** @param sql has the tables of schema.ts */
  constructor(sql: Sql) {
    this.#sql = sql;
  }

  add(vault: string, nowMs: number): void {
    this.#sql.exec(`INSERT INTO access_rooms (vault, since_ms) VALUES (?, ?) ON CONFLICT (vault) DO NOTHING`, vault, nowMs);
  }

  /** Vault ids, in order. A device's rooms are among them, also when the room itself never got to say that it exists. */
  list(): string[] {
    return this.#sql
      .exec<{ vault: string }>(`SELECT vault FROM access_rooms UNION SELECT vault FROM access_device_rooms ORDER BY vault`)
      .map((row) => row.vault);
  }
}
