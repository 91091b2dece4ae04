/** What an admin's requests do inside a room object. */
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { decideAct, documentAct } from "../../worker/takeover-acts.ts";
import { MemoryLegacy, viewOf } from "../kit/legacy-storage.ts";
import { writeKvLayout } from "../kit/legacy-writer.ts";
import { TakeoverObject } from "../kit/takeover-object.ts";

const doc = new Y.Doc();
doc.getText("t").insert(0, "hello old world");
const update = Y.encodeStateAsUpdate(doc);

/** An object whose checkpoint is lost. */
function tornObject(): TakeoverObject {
  const values = new Map<string, unknown>();
  writeKvLayout(values, { checkpoint: update });
  values.delete("document:checkpoint:manifest:1");
  return new TakeoverObject(new MemoryLegacy(values));
}

/** The answer to a decision, and how often the room was opened anew for it. */
async function decide({ host, legacy }: TakeoverObject, body: string): Promise<readonly [status: number, answer: unknown, reopened: number]> {
  let reopened = 0;
  const answer = await decideAct(new Request("https://internal/__yaos/takeover", { method: "POST", body }), { ...host, sql: legacy.sql }, () => (reopened += 1));
  return [answer.status, await answer.json(), reopened];
}

describe("a decision about a takeover", () => {
  it("[TK16] opens the room anew when something was decided, and only then", async () => {
    const object = tornObject();
    expect(await decide(object, '{"action":"accept-loss"}')).toEqual([200, { status: "noop" }, 0]);
    expect(object.opened().as.record?.state).toBe("incomplete");
    for (const body of ["{}", '{"action":"forget"}']) expect(await decide(object, body)).toEqual([400, { error: "invalid action" }, 0]);
    expect(await decide(object, '{"action":"retry"}')).toEqual([200, { status: "done", settled: [] }, 1]);
    expect(object.opened().as.record?.state).toBe("incomplete");
    expect(await decide(object, '{"action":"accept-loss"}')).toEqual([200, { status: "done", settled: [expect.stringContaining("document:checkpoint:manifest:1")] }, 1]);
    expect(object.opened().as.record?.state).toBe("complete");
    expect(await decide(object, '{"action":"accept-loss"}')).toEqual([200, { status: "noop" }, 0]);
    // Its sources may have been damaged since, and then somebody must be able to find out.
    expect(await decide(object, '{"action":"retry"}')).toMatchObject([200, { status: "done" }, 1]);
    expect(object.opened().as.record?.state).toBe("complete");
  });
});

describe("the pre-chunk document", () => {
  it("[TK18] is handed out as it stands, whatever container it is in, and 404 without one", async () => {
    for (const stored of [update, viewOf(update, 5), update.slice().buffer]) {
      const answer = documentAct(new MemoryLegacy(new Map([["document", stored]])));
      expect([answer.status, answer.headers.get("Content-Type"), new Uint8Array(await answer.arrayBuffer())]).toEqual([200, "application/octet-stream", update]);
    }
    const none = documentAct(new MemoryLegacy());
    expect([none.status, await none.json()]).toEqual([404, { error: "not found" }]);
  });
});
