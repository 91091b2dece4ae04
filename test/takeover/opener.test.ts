/** How an object gives out its room: once, to all who wait, and again when a refusal may be over. */
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import type { Room } from "../../src/room/room.ts";
import { retryMove } from "../../src/takeover/decisions.ts";
import { readRecord } from "../../src/takeover/record.ts";
import { RoomOpener } from "../../worker/room-opener.ts";
import { checksum } from "../kit/checksum.ts";
import { MemoryLegacy } from "../kit/legacy-storage.ts";
import { writeKvLayout } from "../kit/legacy-writer.ts";
import { TakeoverObject } from "../kit/takeover-object.ts";

const doc = new Y.Doc();
doc.getText("t").insert(0, "hello old world");

function oldObject(): TakeoverObject {
  const values = new Map<string, unknown>();
  writeKvLayout(values, { checkpoint: Y.encodeStateAsUpdate(doc) });
  return new TakeoverObject(new MemoryLegacy(values));
}

/** An opener over the object's storage; of its rooms only what it does with them itself. */
function openerOf({ legacy, clock, log }: TakeoverObject): { opener: RoomOpener; made: Room[] } {
  const made: Room[] = [];
  const opener = new RoomOpener({ sql: legacy.sql, legacy, checksum, clock, log }, () => {
    made.push({ stats: { rowsWrittenBy: { maintenance: 0 } } } as Room);
    return made.at(-1)!;
  });
  return { opener, made };
}

describe("the room of an object", () => {
  it("[TK4] is given to all who ask while the vault is taken over, once that is done, and its rows are counted as upkeep", async () => {
    const object = oldObject();
    const { opener, made } = openerOf(object);
    expect([opener.now(), opener.opened, opener.as]).toEqual([null, null, null]);
    const waiting = [opener.ready(), opener.ready()];
    expect([opener.now(), made]).toEqual([null, []]);
    const rooms = await Promise.all([...waiting, opener.ready()]);
    expect(made).toHaveLength(1);
    expect(rooms.every((room) => room === made[0])).toBe(true);
    expect([opener.now(), opener.opened]).toEqual([made[0], made[0]]);
    expect([opener.as?.movedNow, readRecord(object.legacy.sql)?.marker["attempts"]]).toEqual([true, "1"]);
    expect(made[0]!.stats.rowsWrittenBy.maintenance).toBe(object.legacy.sql.rowsWritten);
  });

  it("[TK4] is looked for again when it was refused, somebody asks and a minute has passed", async () => {
    const object = oldObject();
    for (let attempt = 0; attempt < LIMITS.maxTakeoverAttempts; attempt++) object.open({}, 2);
    const { opener, made } = openerOf(object);
    const refused = await opener.ready();
    expect(opener.as?.refusal).toContain("broken off");
    retryMove(object.legacy.sql);
    object.clock.setMs(object.clock.nowMs() + 60_000);
    expect(await opener.ready()).toBe(refused);
    object.clock.setMs(object.clock.nowMs() + 1);
    expect(await opener.ready()).not.toBe(refused);
    expect([opener.as?.refusal, made.length]).toEqual([null, 2]);
  });
});
