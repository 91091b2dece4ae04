/**
 * The config object of an install: its owner, its devices, its pairings and its rooms, behind the internal routes. Reached only from the Worker and the
 * rooms, which have checked who asks; the routes that hand out or take away access check the owner once more here (`ownerHash`), because the Worker's
 * copy of the config may be a minute old.
 * Digests are made before the synchronous part of a route, so that nothing comes between its reads and its writes.
 */

import { LIMITS } from "../limits.ts";
import type { Sql } from "../ports.ts";
import { type DeviceAdmission, DeviceStore, type Grant } from "./device-store.ts";
import { DEVICE_ID_BYTES, DEVICE_SECRET_BYTES, isDeviceId, makeDeviceCredential } from "./device-credential.ts";
import { isDigest, sha256Hex } from "./digest.ts";
import { readGrant } from "./grant.ts";
import { type KeyValues, OwnerRecord } from "./owner-record.ts";
import { makePairingCode, PAIRING_CODE_BYTES, readPairingCode } from "./pairing-code.ts";
import { PairingStore } from "./pairing-store.ts";
import { RoomList } from "./room-list.ts";
import { accessTablesExist, createAccessTables } from "./schema.ts";
import { readUpdateMetadata } from "./update-metadata.ts";

/** What the core needs of its runtime. */
export interface ConfigHost {
  readonly sql: Sql;
  readonly kv: KeyValues;
  readonly nowMs: () => number;
  readonly randomBytes: (count: number) => Uint8Array;
}

/** A status and a JSON body. */
export type ConfigAnswer = { readonly status: number; readonly body: unknown };

type Body = Readonly<Record<string, unknown>>;

const OK: ConfigAnswer = { status: 200, body: { ok: true } };

function refuse(status: number, error: string): ConfigAnswer {
  return { status, body: { error } };
}

export class ConfigCore {
  readonly #host: ConfigHost;
  readonly #owner: OwnerRecord;
  readonly #devices: DeviceStore;
  readonly #pairings: PairingStore;
  readonly #rooms: RoomList;
  #tables = false;

  constructor(host: ConfigHost) {
    this.#host = host;
    this.#owner = new OwnerRecord(host.kv);
    this.#devices = new DeviceStore(host.sql);
    this.#pairings = new PairingStore(host.sql);
    this.#rooms = new RoomList(host.sql);
  }

  /**
   * Answers one request. @param body the JSON body when it is an object, else null: a POST without one is 400 `invalid json`
   */
  async answer(method: string, path: string, body: Body | null): Promise<ConfigAnswer> {
    const route = `${method} ${path}`;
    switch (route) {
      case "GET /__yaos/config":
        return { status: 200, body: this.#owner.read() };
      case "GET /__yaos/devices":
        return { status: 200, body: { devices: this.#hasTables() ? this.#devices.list() : [] } };
      case "GET /__yaos/rooms":
        return { status: 200, body: { rooms: this.#hasTables() ? this.#rooms.list() : [] } };
    }
    const post = POSTS.get(route);
    if (post === undefined) return refuse(404, "not found");
    if (body === null) return refuse(400, "invalid json");
    return post(this, body);
  }

  claim(body: Body): ConfigAnswer {
    const tokenHash = body["tokenHash"];
    if (typeof tokenHash !== "string" || tokenHash.trim() === "") return refuse(400, "missing tokenHash");
    // Servers before this one keep whatever text comes; only a digest can ever be matched.
    if (!isDigest(tokenHash.trim())) return refuse(400, "invalid tokenHash");
    return this.#host.sql.transaction(() => (this.#owner.claim(tokenHash.trim()) ? OK : refuse(403, "already_claimed")));
  }

  updateMetadata(body: Body): ConfigAnswer {
    const metadata = readUpdateMetadata(body);
    if ("fault" in metadata) return refuse(400, metadata.fault);
    return this.#host.sql.transaction(() => {
      this.#owner.update(metadata);
      return { status: 200, body: { ok: true, config: this.#owner.read() } };
    });
  }

  rotate(body: Body): ConfigAnswer {
    const { oldHash, newHash } = body as { oldHash?: unknown; newHash?: unknown };
    if (!isDigest(oldHash) || !isDigest(newHash)) return refuse(400, "invalid hash");
    if (oldHash === newHash) return refuse(400, "same token");
    return this.#host.sql.transaction(() => {
      if (this.#owner.rotate(oldHash, newHash) === null) return refuse(401, "unauthorized");
      // Whoever had the old token may have made some, to come back by.
      if (this.#hasTables()) this.#pairings.forgetAll();
      return this.#rotation();
    });
  }

  /** What is left of the last rotation: the rooms that were not told yet. */
  resumeRotation(body: Body): ConfigAnswer {
    return this.#mayManage(body) ? this.#rotation() : refuse(401, "unauthorized");
  }

  /** Keeps which rooms were told of a revocation or a rotation, so that the next request goes on with the others. */
  reportTold(body: Body): ConfigAnswer {
    const { by, below, told, failed } = body as { by?: unknown; below?: unknown; told?: unknown; failed?: unknown };
    if (!Number.isSafeInteger(below) || !areNumbers(told) || !areNumbers(failed) || (by !== "owner" && !isDeviceId(by))) return refuse(400, "invalid request");
    if (!this.#hasTables()) return OK;
    if (by === "owner") this.#rooms.report(below as number, { told, failed });
    else this.#devices.report(by, { told, failed });
    return OK;
  }

  async createDevice(body: Body): Promise<ConfigAnswer> {
    const grant = readGrant(body);
    if ("fault" in grant) return refuse(400, grant.fault);
    return this.#issue(() => (this.#mayManage(body) ? grant : refuse(401, "unauthorized")));
  }

  revokeDevice(body: Body): ConfigAnswer {
    const id = body["id"];
    if (!this.#mayManage(body)) return refuse(401, "unauthorized");
    if (!isDeviceId(id) || !this.#hasTables()) return refuse(404, "not found");
    const revoked = this.#devices.revoke(id, this.#host.nowMs());
    return revoked === null ? refuse(404, "not found") : { status: 200, body: revoked };
  }

  admitDevice(body: Body): ConfigAnswer {
    const { id, secretHash, vault, socket } = body as { id?: unknown; secretHash?: unknown; vault?: unknown; socket?: unknown };
    if (!isDeviceId(id) || (secretHash !== null && !isDigest(secretHash)) || typeof vault !== "string" || vault === "") return refuse(400, "invalid request");
    const nowMs = this.#host.nowMs();
    const admission: DeviceAdmission = this.#hasTables() ? this.#devices.admit(id, secretHash, vault, socket === true, nowMs) : { ok: false };
    const { claimed, ownerEpoch } = this.#owner.read();
    // The room says so itself; this one is sure to be heard.
    if (admission.ok && socket === true) this.#rooms.add(vault, nowMs);
    // `claimed` where it is refused: the caller says `unclaimed` rather than `unauthorized` then.
    return { status: 200, body: admission.ok ? { ...admission, ownerEpoch } : { ...admission, claimed } };
  }

  async createPairing(body: Body): Promise<ConfigAnswer> {
    const grant = readGrant(body);
    if ("fault" in grant) return refuse(400, grant.fault);
    const code = makePairingCode(this.#host.randomBytes(PAIRING_CODE_BYTES));
    const codeHash = await sha256Hex(code);
    if (!this.#mayManage(body)) return refuse(401, "unauthorized");
    this.#ensureTables();
    const nowMs = this.#host.nowMs();
    const expiresAt = nowMs + LIMITS.pairingLifeMs;
    if (!this.#pairings.create(codeHash, grant, expiresAt, nowMs)) return refuse(409, "too many pairings");
    return { status: 200, body: { code, expiresAt } };
  }

  async redeemPairing(body: Body): Promise<ConfigAnswer> {
    const code = readPairingCode(body["code"]);
    if (code === null) return refuse(400, "invalid code");
    const codeHash = await sha256Hex(code);
    return this.#issue(() => {
      const nowMs = this.#host.nowMs();
      if (!this.#hasTables() || !this.#pairings.isGood(codeHash, nowMs)) return refuse(403, "invalid code");
      // Before the code is used up: it is good again once the owner has revoked a device.
      if (this.#devices.isFull) return refuse(409, "too many devices");
      return this.#pairings.redeem(codeHash, nowMs) ?? refuse(403, "invalid code");
    });
  }

  addRoom(body: Body): ConfigAnswer {
    const vaultId = body["vaultId"];
    if (typeof vaultId !== "string" || vaultId === "") return refuse(400, "missing vaultId");
    this.#ensureTables();
    this.#rooms.add(vaultId, this.#host.nowMs());
    return { status: 200, body: { ok: true, ownerEpoch: this.#owner.read().ownerEpoch } };
  }

  /** After an erase: no list names the vault any more. */
  forgetRoom(body: Body): ConfigAnswer {
    const vaultId = body["vaultId"];
    if (typeof vaultId !== "string" || vaultId === "") return refuse(400, "missing vaultId");
    if (this.#hasTables()) this.#rooms.forget(vaultId);
    return OK;
  }

  #rotation(): ConfigAnswer {
    const { ownerEpoch } = this.#owner.read();
    return { status: 200, body: { ok: true, ownerEpoch, rooms: this.#hasTables() ? this.#rooms.untold(ownerEpoch) : [] } };
  }

  /** Makes a credential, asks `decide` what it is good for, and keeps it; one turn from the decision to the row. */
  async #issue(decide: () => Grant | ConfigAnswer): Promise<ConfigAnswer> {
    const credential = makeDeviceCredential(this.#host.randomBytes(DEVICE_ID_BYTES + DEVICE_SECRET_BYTES));
    const secretHash = await sha256Hex(credential.secret);
    const grant = decide();
    if ("status" in grant) return grant;
    this.#ensureTables();
    const nowMs = this.#host.nowMs();
    const { ownerEpoch } = this.#owner.read();
    if (!this.#devices.create(credential.id, secretHash, grant, ownerEpoch, nowMs)) return refuse(409, "too many devices");
    const device = { id: credential.id, name: grant.name, vault: grant.vault, mode: grant.mode, createdAt: nowMs };
    return { status: 200, body: { credential: credential.text, device } };
  }

  /** In claim mode the caller passes the digest it was shown; in env mode (none) the Worker's own check is the only one. */
  #mayManage(body: Body): boolean {
    const ownerHash = body["ownerHash"];
    return ownerHash === undefined || ownerHash === null || (isDigest(ownerHash) && this.#owner.isOwner(ownerHash));
  }

  #hasTables(): boolean {
    this.#tables ||= accessTablesExist(this.#host.sql);
    return this.#tables;
  }

  #ensureTables(): void {
    if (this.#hasTables()) return;
    createAccessTables(this.#host.sql);
    this.#tables = true;
  }
}

function areNumbers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((number) => Number.isSafeInteger(number));
}

type Post = (core: ConfigCore, body: Body) => ConfigAnswer | Promise<ConfigAnswer>;

const POSTS: ReadonlyMap<string, Post> = new Map<string, Post>([
  ["POST /__yaos/claim", (core, body) => core.claim(body)],
  ["POST /__yaos/update-metadata", (core, body) => core.updateMetadata(body)],
  ["POST /__yaos/rotate", (core, body) => core.rotate(body)],
  ["POST /__yaos/rotate/resume", (core, body) => core.resumeRotation(body)],
  ["POST /__yaos/told", (core, body) => core.reportTold(body)],
  ["POST /__yaos/devices/create", (core, body) => core.createDevice(body)],
  ["POST /__yaos/devices/revoke", (core, body) => core.revokeDevice(body)],
  ["POST /__yaos/devices/admit", (core, body) => core.admitDevice(body)],
  ["POST /__yaos/pairings", (core, body) => core.createPairing(body)],
  ["POST /__yaos/pairings/redeem", (core, body) => core.redeemPairing(body)],
  ["POST /__yaos/rooms", (core, body) => core.addRoom(body)],
  ["POST /__yaos/rooms/forget", (core, body) => core.forgetRoom(body)],
]);
