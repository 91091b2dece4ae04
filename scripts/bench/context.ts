/** What every case gets. */
import type { MeasuredServer } from "./servers.ts";
import type { Recorder, ServerKind } from "./stats.ts";
import type { Vault, VaultForm } from "./vaults.ts";

export interface BenchContext {
  readonly servers: readonly MeasuredServer[];
  /** Vault sizes asked for, MB, ascending. */
  readonly sizes: readonly number[];
  /** Repetitions of what is cheap to repeat. */
  readonly runs: number;
  readonly quick: boolean;
  readonly recorder: Recorder;
  vault(megabytes: number, form: VaultForm): Vault;
  /** The same vault, imported by one device, as the entries of an older server's journal. */
  legacyJournal(megabytes: number): readonly Uint8Array[];
  log(line: string): void;
}

export interface BenchCase {
  readonly name: string;
  run(context: BenchContext): Promise<void>;
}

/** Servers of these kinds, in the order of the table. */
export function serversOf(context: BenchContext, ...kinds: ServerKind[]): MeasuredServer[] {
  return context.servers.filter((server) => kinds.includes(server.kind));
}

/** The largest size asked for. */
export function largest(context: BenchContext): number {
  return context.sizes.at(-1) ?? 1;
}

/** The size nearest to the middle one of the aims, 13 MB. */
export function middle(context: BenchContext): number {
  return context.sizes.toSorted((a, b) => Math.abs(a - 13) - Math.abs(b - 13))[0] ?? 1;
}

export const label = (megabytes: number): string => `${megabytes} MB`;
