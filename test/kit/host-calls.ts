/** An operator's calls to a running host. */
import type { HostProcess } from "./host-process.ts";

/** The parts of the debug answer that process tests look at. */
export interface DebugAnswer {
  readonly documentLoaded: boolean;
  readonly journal: { readonly rows: number; readonly bytes: number; readonly head: number };
  readonly index: { readonly clients: number; readonly chunks: number };
  readonly gaps: { readonly heldRows: number; readonly heldBytes: number };
  readonly damage: { readonly lostRangeCount: number; readonly lostUnknown: boolean; readonly setAside: readonly unknown[]; readonly parkedCount: number; readonly healedCount: number };
  readonly sessions: { readonly count: number; readonly socketErrors: number };
  readonly commitBuffer: { readonly bytes: number; readonly updates: number };
  readonly frames: Readonly<Record<string, number>>;
  readonly refusals: Readonly<Record<string, number>>;
  readonly storage: { readonly oversizedDeltaCount: number };
}

export async function readDebug(host: HostProcess, vault: string): Promise<DebugAnswer> {
  return (await call(host, "GET", vault, "recent")) as DebugAnswer;
}

/** Runs a checkpoint; the host needs `YAOS_ENABLE_ADMIN_ROUTES`. */
export async function compact(host: HostProcess, vault: string): Promise<{ status: string }> {
  return (await call(host, "POST", vault, "compact")) as { status: string };
}

async function call(host: HostProcess, method: string, vault: string, act: string): Promise<unknown> {
  const answer = await fetch(`${host.url}/vault/${encodeURIComponent(vault)}/debug/${act}`, { method, headers: { authorization: `Bearer ${host.token}` } });
  if (answer.status !== 200) throw new Error(`${method} ${act} of ${vault}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** Every frame has one outcome: what came in is the sum of what became of it. */
export function framesUnaccounted(frames: Readonly<Record<string, number>>): number {
  const outcomes = Object.entries(frames).filter(([name]) => name.startsWith("frames") && name !== "framesReceived");
  return (frames["framesReceived"] ?? Number.NaN) - outcomes.reduce((sum, [, count]) => sum + count, 0);
}
