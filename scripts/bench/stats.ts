/** Samples by case, metric, vault and server; medians come out at the end. */

export type ServerKind = "ours" | "baseline" | "relay";
export const SERVER_KINDS: readonly ServerKind[] = ["ours", "baseline", "relay"];

/** What a row of the table is about. `aim` is judged on the medians of the row. */
export interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly better: "lower" | "higher";
  /** In words, with the figure. */
  readonly aim?: string;
  readonly met?: (medians: Partial<Record<ServerKind, number>>) => boolean | null;
}

export interface Row extends Metric {
  readonly caseName: string;
  /** The vault or the setting, for example `31 MB`. */
  readonly setting: string;
  readonly samples: Partial<Record<ServerKind, number[]>>;
}

export class Recorder {
  readonly rows: Row[] = [];

  add(caseName: string, metric: Metric, setting: string, kind: ServerKind, value: number): void {
    let row = this.rows.find((r) => r.caseName === caseName && r.name === metric.name && r.setting === setting);
    if (row === undefined) {
      row = { ...metric, caseName, setting, samples: {} };
      this.rows.push(row);
    }
    (row.samples[kind] ??= []).push(value);
  }
}

/** @throws when there is no sample. */
export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  if (upper === undefined || lower === undefined) throw new Error("bench: a median of nothing");
  return (upper + lower) / 2;
}

/** The median of every server in the row that has samples. */
export function mediansOf(row: Row): Partial<Record<ServerKind, number>> {
  const out: Partial<Record<ServerKind, number>> = {};
  for (const kind of SERVER_KINDS) {
    const samples = row.samples[kind];
    if (samples !== undefined && samples.length > 0) out[kind] = median(samples);
  }
  return out;
}

/** Our median at most `limit`. */
export const atMost = (limit: number) => (medians: Partial<Record<ServerKind, number>>): boolean | null =>
  medians.ours === undefined ? null : medians.ours <= limit;

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
