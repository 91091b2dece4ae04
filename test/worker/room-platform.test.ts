/** What only the real object has: an alarm that is set and billed, and a write it died in. */
import { runInDurableObject } from "cloudflare:test";
import { expect, test, vi } from "vitest";
import { BEARER, join, stubOf, worker } from "./upgraded-client.ts";

interface Report {
  readonly health: { readonly kind: string; readonly reason: string | null };
  readonly checkpoints: { readonly checkpoints: number; readonly compactions: number; readonly failuresInARow: number };
  readonly storage: { readonly rowsWritten: number; readonly rowsWrittenBy: Record<string, number> };
}

async function debug(vault: string): Promise<Report> {
  const answer = await worker.fetch(`https://host/vault/${vault}/debug/recent`, { headers: BEARER });
  expect(answer.status).toBe(200);
  return answer.json<Report>();
}

/** Asks now and then until `condition` holds. */
function debugUntil(vault: string, condition: (report: Report) => boolean | Promise<boolean>): Promise<Report> {
  return vi.waitFor(
    async () => {
      const report = await debug(vault);
      if (!(await condition(report))) throw new Error(`still ${JSON.stringify(report.checkpoints)}`);
      return report;
    },
    { timeout: 10_000, interval: 10 },
  );
}

function rowsOf({ storage }: Report): number {
  return Object.values(storage.rowsWrittenBy).reduce((sum, rows) => sum + rows, 0);
}

test("[CP3] [DB4] compaction comes by the alarm, and the alarm is counted as the row it costs", async () => {
  const vault = "alarm";
  const a = await join(vault);
  a.doc.getText("t").insert(0, "x".repeat(400_000));
  await debugUntil(vault, (report) => report.checkpoints.checkpoints === 1);
  a.doc.getText("t").delete(0, 399_000);
  await a.until(() => a.isReceipted);
  const before = await debug(vault);
  expect(await runInDurableObject(stubOf(vault), (_, state) => state.storage.getAlarm())).toBe(null);
  a.doc.getText("u").insert(0, "y".repeat(300_000));
  const planned = await debugUntil(vault, async (report) => {
    return report.checkpoints.compactions > 0 || (await runInDurableObject(stubOf(vault), (_, state) => state.storage.getAlarm())) !== null;
  });
  const counted = planned.checkpoints.compactions > 0 ? planned : await debug(vault);
  expect(counted.checkpoints.compactions).toBe(0);
  expect(counted.storage.rowsWrittenBy["maintenance"]).toBe(before.storage.rowsWrittenBy["maintenance"]! + 1);
  expect(rowsOf(counted)).toBe(counted.storage.rowsWritten);
  const done = await debugUntil(vault, (report) => report.checkpoints.compactions > 0);
  expect(rowsOf(done)).toBe(done.storage.rowsWritten);
});

test("[DG2] an object that died in a write is remembered outside it: the next instance says so, and proves itself", async () => {
  const vault = "died";
  const a = await join(vault);
  a.doc.getText("t").insert(0, "kept ");
  await a.until(() => a.isReceipted);
  await runInDurableObject(stubOf(vault), (instance, state) => {
    // Writes in this turn; what is written is never confirmed.
    void (instance as unknown as { fetch(request: Request): Promise<Response> }).fetch(new Request("https://internal/__yaos/compact", { method: "POST" }));
    state.abort("as a commit that fails does");
  }).catch(() => undefined);
  await a.until(() => a.closed !== null);
  const report = await debug(vault);
  expect(report.health).toMatchObject({ kind: "unproven", reason: "the last checkpoint failed" });
  expect(report.checkpoints.failuresInARow).toBe(1);
  const b = await join(vault);
  await b.until(() => b.texts.some((text) => text.includes('"yaos/degraded","reason":"')));
  expect(b.receipts).toEqual([]);
  expect(b.doc.getText("t").toString()).toBe("kept ");
  await b.until(() => b.isReceipted);
  expect(b.texts.some((text) => text.includes('"yaos/degraded","reason":null'))).toBe(true);
  expect((await debug(vault)).health.kind).toBe("healthy");
});
