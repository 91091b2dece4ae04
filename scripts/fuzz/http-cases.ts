/** Random requests: known routes and what is near them, credentials right and wrong, bodies of every shape. Same seed and number, same request. */
import { createHash } from "node:crypto";
import { LIMITS } from "../../src/limits.ts";
import { Random } from "../../test/kit/random.ts";
import type { RawRequest } from "./http-request.ts";

/** Written by the fuzz run's "proxy", so that failures are counted for many addresses and for a few. */
export const ADDRESS_HEADER = "X-Fuzz-Address";

/** The methods the runtime knows; it answers 501 to any other before the Worker hears of it. */
const METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "REPORT"];

/** Few, as every one a valid credential reaches becomes an object on disk. */
const VAULTS = [
  "fuzz-vault-1",
  "fuzz-vault-2",
  "sync",
  "a%2Fb",
  "a/b",
  "%20",
  "%00",
  "%zz",
  "%",
  "%e4%b8%ad",
  "%ff%fe",
  "%2e%2e",
  "..",
  ".",
  "",
  "a%252Fb",
  "__proto__",
  "constructor",
  "%0d%0aX-Injected:%201",
  "x".repeat(1_024),
  "x".repeat(1_025),
  "%41".repeat(1_024),
];

const HASHES = [
  createHash("sha256").update("blob").digest("hex"),
  createHash("sha256").update("").digest("hex"),
  "A".repeat(64),
  "0".repeat(63),
  "exists",
  "..%2f..%2f",
  "%zz",
  "",
];

const WORDS = ["vault", "sync", "parties", "api", "__yaos", "auth", "ticket", "debug", "recent", "blobs", "snapshots", "claim", "devices", "pairings", "pair", "main", "%2f", "..", "%c0%af", "\u00e9", "<script>", "'", "a".repeat(300)];

const FIELDS = ["token", "vaultId", "claimCode", "code", "id", "name", "vault", "mode", "hashes", "device", "updateProvider", "updateRepoUrl", "updateRepoBranch", "confirm", "__proto__", "toString", "tokenHash", "pruneLegacy"];

/** Queries of doors and routes. */
const PARAMETERS = ["token", "ticket", "schemaVersion", "schema", "_pk", "device", "trace", "vault", "limit", "format", "code"];

/** Makes the requests of one seed. */
export class HttpCases {
  readonly #seed: number;
  readonly #tokens: readonly string[];

  /** @param tokens the owner's, of which half of the requests present one; where tokens can be replaced, requests replace one by another of these */
  constructor(seed: number, tokens: readonly string[]) {
    this.#seed = seed;
    this.#tokens = tokens;
  }

  /** The request number `index`, the same for the same seed. */
  make(index: number): RawRequest {
    const random = new Random(Math.imul(this.#seed, 1_000_003) + index);
    const [usual, path] = this.#route(random);
    const method = random.chance(0.75) ? usual : random.pick(METHODS);
    const query = this.#query(random);
    const body = random.chance(method === "GET" ? 0.05 : 0.8) ? this.#body(random) : null;
    const roll = random.unit();
    return {
      method,
      target: path + (path.includes("?") ? query.replace("?", "&") : query),
      headers: this.#headers(random, path),
      body,
      framing: body === null || roll < 0.6 ? "length" : roll < 0.9 ? "chunked" : "cut-off",
    };
  }

  /** The method a route is for, and a path of it or near it. */
  #route(random: Random): readonly [method: string, path: string] {
    const id = random.chance(0.5) ? "fuzz-vault-1" : random.pick(VAULTS);
    const hash = random.pick(HASHES);
    const [method, path] = random.pick<readonly [string, string]>([
      ["GET", "/"],
      ["GET", "/mobile-setup"],
      ["POST", "/claim"],
      ["GET", "/api/capabilities"],
      ["POST", "/api/update-metadata"],
      ["POST", "/api/rotate"],
      ["GET", "/api/devices"],
      ["POST", "/api/devices"],
      ["DELETE", `/api/devices/${id}`],
      ["POST", "/api/pairings"],
      ["POST", "/api/pair"],
      ["GET", `/vault/sync/${id}`],
      ["GET", `/sync/${id}`],
      ["GET", `/parties/main/${id}`],
      ["DELETE", `/vault/${id}`],
      ["POST", `/vault/${id}/auth/ticket`],
      ["GET", `/vault/${id}/debug/recent`],
      ["POST", `/vault/${id}/debug/compact`],
      ["POST", `/vault/${id}/blobs/exists`],
      ["GET", `/vault/${id}/blobs/${hash}`],
      ["PUT", `/vault/${id}/blobs/${hash}`],
      ["POST", `/vault/${id}/snapshots`],
      ["GET", `/vault/${id}/snapshots`],
      ["POST", `/vault/${id}/snapshots/${random.pick(["maybe", "prune"])}`],
      ["GET", `/vault/${id}/snapshots/${random.pick(["status", id])}`],
      ["GET", "/__yaos/debug?vault=fuzz-vault-1"],
      ["POST", "/__yaos/compact"],
      ["POST", `/__yaos/${random.pick(["connect", "config", "claim", "revoke", "erase", "meta", "rooms"])}`],
      ["GET", `/${Array.from({ length: random.int(0, 6) }, () => random.pick(WORDS)).join("/")}`],
      ["GET", `/${"p".repeat(random.int(8_000, 8_400))}`],
    ]);
    return [method, random.chance(0.15) ? this.#mutate(random, path) : path];
  }

  /** Never a space or a line end: those end the target, and the rest would be another request. */
  #mutate(random: Random, path: string): string {
    const at = random.int(1, path.length);
    const piece = random.pick(["/", "//", "%", "%zz", "%2f", "%00", "..", "/..", "/./", ";a=b", "#", "\\", "[", "|", "\u00ff", "%ED%A0%80", "?", ":", "@"]);
    return path.slice(0, at) + piece + path.slice(random.chance(0.5) ? at : at + 1);
  }

  #query(random: Random): string {
    if (random.chance(0.5)) return "";
    if (random.chance(0.03)) return `?q=${"q".repeat(random.pick([16_000, 16_384, 20_000, 60_000]))}`;
    const pairs = Array.from({ length: random.int(0, 5) }, () => {
      const value = random.pick([...this.#tokens, ...this.#tokens, "wrong", "", "1", "2", "-1", "1e309", "NaN", "%zz", "%00", "a.b", "..", "yd1.abcdefghijkl.secret", "[]", "fuzz-vault-1", "x".repeat(2_000)]);
      return `${random.pick(PARAMETERS)}=${value}`;
    });
    return `?${pairs.join(random.pick(["&", "&", "&", "&&", ";"]))}`;
  }

  #headers(random: Random, path: string): (readonly [string, string])[] {
    const headers: (readonly [string, string])[] = [
      ["Host", random.chance(0.97) ? "127.0.0.1" : random.pick(["a b", "[", "x:99999", "%zz", "localhost:1:2", "ex\u00e4mple", "\"", "a@b"])],
      [ADDRESS_HEADER, random.pick(["192.0.2.1", `198.51.100.${random.int(0, 255)}`, `2001:db8::${random.int(0, 9_999)}`, "nonsense", ""])],
    ];
    const authorize = (): void => void headers.push([random.pick(["Authorization", "authorization"]), this.#authorization(random)]);
    if (random.chance(0.8)) authorize();
    if (random.chance(0.05)) authorize();
    const atDoor = /^\/(vault\/)?(sync|parties)\//.test(path);
    if (random.chance(atDoor ? 0.6 : 0.05)) {
      headers.push(["Upgrade", random.pick(["websocket", "WebSocket", "h2c", "websocket, x"])], ["Connection", "Upgrade"]);
      if (random.chance(0.9)) headers.push(["Sec-WebSocket-Key", random.chance(0.9) ? "dGhlIHNhbXBsZSBub25jZQ==" : "?"]);
      if (random.chance(0.9)) headers.push(["Sec-WebSocket-Version", random.chance(0.9) ? "13" : "99"]);
      if (random.chance(0.2)) headers.push(["Sec-WebSocket-Protocol", random.pick(["yjs", "a, b", ",", "\u00e9", "a b"])]);
    }
    if (random.chance(0.3)) headers.push(["Content-Type", random.pick(["application/json", "text/plain", "image/png; x=\"y", ";", "\u00ff", "x".repeat(3_000)])]);
    if (random.chance(0.2)) headers.push(["Range", random.pick(["bytes=0-", "bytes=-0", "bytes=5-1", "bytes=0-0,2-3", "bytes=99999999999999999999-", "items=1", "bytes=a-b"])]);
    if (random.chance(0.2)) headers.push(["If-None-Match", random.pick(["*", "\"x\"", `"${HASHES[0]}"`, "W/\"", ","])]);
    if (random.chance(0.2)) headers.push(["Origin", random.pick(["null", "app://obsidian.md", "https://evil.example", "\u00e9"])]);
    if (random.chance(0.1)) headers.push([random.pick(["X-Forwarded-For", "CF-Connecting-IP", "Cookie", "X-partykit-room", "Expect", "Accept-Encoding", "TE"]), random.pick(["1.2.3.4", "gzip;q=0", "x", "a=b; c"])]);
    return headers;
  }

  #authorization(random: Random): string {
    const token = random.pick(this.#tokens);
    if (random.chance(0.6)) return `Bearer ${token}`;
    return random.pick([
      "Bearer wrong",
      "Bearer ",
      "Bearer",
      "bearer x",
      "Basic eDp5",
      `Bearer ${token}, Bearer ${token}`,
      `Bearer yd1.abcdefghijkl.${"s".repeat(43)}`,
      "Bearer yd1..",
      `Bearer ${"t".repeat(10_000)}`,
      "Bearer \u00e9\u00ff",
    ]);
  }

  #body(random: Random): Uint8Array {
    const text = (value: string): Uint8Array => new TextEncoder().encode(value);
    const roll = random.unit();
    if (roll < 0.55) return text(JSON.stringify(this.#object(random)));
    if (roll < 0.75) return text(random.pick(["null", "[]", "[null]", "{}", "7", "\"x\"", "true", "", "{", "{\"a\":1}x", "\ufeff{}", "{\"hashes\":{\"length\":1e9}}", "{\"token\":{\"trim\":1}}"]));
    if (roll < 0.85) return Uint8Array.from({ length: random.int(0, 600) }, () => random.int(0, 255));
    if (roll < 0.9) return text("[".repeat(random.int(1_000, 100_000)));
    if (roll < 0.93) return text(`{"token":${"[".repeat(20_000)}${"]".repeat(20_000)}}`);
    if (roll < 0.97) return text("blob");
    if (roll < 0.998) return text(`{"token":"${"x".repeat(random.int(60_000, 300_000))}"}`);
    return new Uint8Array(LIMITS.maxBlobUploadBytes + random.int(-1, 1));
  }

  #object(random: Random): Record<string, unknown> {
    return Object.fromEntries(
      Array.from({ length: random.int(0, 6) }, () => {
        const field = random.pick(FIELDS);
        // Not any text will do as a token: one nobody presents would end what the run can reach.
        return [field, field === "token" ? random.pick([...this.#tokens, null, 7, "short", [], "x".repeat(5_000)]) : this.#value(random, 2)];
      }),
    );
  }

  #value(random: Random, depth: number): unknown {
    const plain: unknown[] = [null, true, 0, -1, 1e308, "", "x", "rw", "ro", "fuzz-vault-1", HASHES[0], "t".repeat(64), "\u0000", "\ud800", "github", "https://example.com/a/b", "ABCD-2345", "x".repeat(5_000)];
    if (depth === 0 || random.chance(0.8)) return random.pick(plain);
    const inner = Array.from({ length: random.pick([0, 1, 3, 60]) }, () => this.#value(random, depth - 1));
    return random.chance(0.5) ? inner : Object.fromEntries(inner.map((value, n) => [random.pick(FIELDS) + n, value]));
  }
}
