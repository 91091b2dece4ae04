/** Random vaults in the layouts of older servers. Everything follows from the seed. */
import * as Y from "yjs";
import { plainDoc, retryPending } from "./compare.ts";
import { DocRoom, playHistory } from "./histories.ts";
import { MemoryLegacy } from "./legacy-storage.ts";
import { KvServer, session, SqlServer, type StoredUpdate } from "./old-servers.ts";
import type { Random } from "./random.ts";

export type Layout = "kv" | "sql" | "diverged" | "document";
export const LAYOUTS: readonly Layout[] = ["kv", "sql", "diverged", "document"];

export interface RandomVault {
  readonly legacy: MemoryLegacy;
  /** Everything that an older server would load, of all layouts. */
  readonly stored: readonly StoredUpdate[];
  /** The document of all of it. */
  readonly truth: Y.Doc;
}

export function docOf(updates: readonly Uint8Array[]): Y.Doc {
  const doc = plainDoc(updates);
  retryPending(doc);
  return doc;
}

export function randomVault(layout: Layout, random: Random): RandomVault {
  const legacy = new MemoryLegacy();
  const stored = storedBy(layout, legacy, random);
  return { legacy, stored, truth: docOf(stored.map(({ update }) => update)) };
}

function storedBy(layout: Layout, legacy: MemoryLegacy, random: Random): StoredUpdate[] {
  if (layout === "sql") {
    const server = new SqlServer(legacy, plainDoc(), random);
    live(server, random);
    return server.stored;
  }
  if (layout === "document") {
    // Files in the pre-chunk document, and a build that came later and wrote nothing but its own entries.
    const old = plainDoc([], { clientId: 7 });
    old.getMap("meta").set("a", { path: "A.md" });
    old.getMap("idToText").set("a", new Y.Text("an old note"));
    old.getMap("pathToId").set("A.md", "a");
    old.getText("text").insert(0, "words ".repeat(random.int(1, 9)));
    const update = Y.encodeStateAsUpdate(old);
    legacy.values.set("document", random.chance(0.5) ? update : update.slice().buffer);
    const server = new KvServer(legacy, plainDoc(), random);
    if (random.chance(0.7)) {
      for (let at = random.int(1, 4); at > 0; at -= 1) {
        session(server, 100 + at, 2);
        server.save(0.1);
      }
    }
    return [{ name: "document", update }, ...server.stored];
  }
  const kv = new KvServer(legacy, plainDoc(), random);
  kv.leavesOld = random.chance(0.2);
  live(kv, random);
  if (layout === "kv") return kv.stored;
  // PR #51 took over, went on, was rolled back, and the older server went on from its own state.
  const base = Y.encodeStateAsUpdate(docOf(kv.stored.map(({ update }) => update)));
  const sql = new SqlServer(legacy, docOf([base]), random);
  if (random.chance(0.9)) sql.writeSnapshot(base);
  sql.restart(docOf([base]));
  kv.restart(docOf([base]));
  for (let at = 0; at < 4; at += 1) {
    session(sql, 500 + random.int(0, 2), 3);
    sql.save(0.15);
    session(kv, 600 + random.int(0, 2), 3);
    kv.save(0.15);
  }
  return [...sql.stored, ...kv.stored];
}

/** A life of several devices: a random history as it arrives, and visits one after the other. */
function live(server: KvServer | SqlServer, random: Random): void {
  const checkpointChance = random.chance(0.5) ? 0.05 : 0.25;
  if (random.chance(0.5)) {
    const room = new SavingRoom(server, random, checkpointChance);
    playHistory(random.int(1, 1_000_000), { steps: random.int(10, 40) }, room);
    server.doc = room.doc;
  } else {
    for (let at = random.int(2, 9); at > 0; at -= 1) {
      session(server, random.int(1, 4), random.int(1, 5));
      if (random.chance(0.8)) server.save(checkpointChance);
    }
  }
  server.save(checkpointChance);
}

/** A room that is saved now and then, in the middle of whatever is going on. */
class SavingRoom extends DocRoom {
  readonly #server: KvServer | SqlServer;
  readonly #random: Random;
  readonly #checkpointChance: number;

  constructor(server: KvServer | SqlServer, random: Random, checkpointChance: number) {
    super();
    this.#server = server;
    this.#random = random;
    this.#checkpointChance = checkpointChance;
    server.doc = this.doc;
  }

  override receive(update: Uint8Array): void {
    super.receive(update);
    if (this.#random.chance(0.3)) this.#server.save(this.#checkpointChance);
  }
}
