/** Facts about other processes: alive, since when, and whether one is a workerd of ours. Linux first, `ps` elsewhere. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";

const HAS_PROC = existsSync("/proc/self/stat");

/** Whether `pid` exists, ours or not. A zombie counts as gone: it holds no file and no port any more. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  return processState(pid) !== "Z";
}

/**
 * A string that tells one process from a later one with the same pid: the boot and the start time in ticks.
 * `null` where there is no /proc; callers then go by the pid alone.
 */
export function startTimeOf(pid: number): string | null {
  const ticks = statFields(pid)?.[19]; // field 22 of proc(5) stat; the first two are cut off
  if (ticks === undefined) return null;
  return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}:${ticks}`;
}

/** Whether `pid` runs the program `workerd`. */
export function isWorkerd(pid: number): boolean {
  if (HAS_PROC) return readProc(pid, "comm")?.trim() === "workerd";
  try {
    return execFileSync("ps", ["-o", "comm=", "-p", String(pid)], { encoding: "utf8" }).trim().endsWith("workerd");
  } catch {
    return false;
  }
}

/** Every workerd that was started with `configFile`, found by its command line; empty where there is no /proc. */
export function workerdsServing(configFile: string): number[] {
  if (!HAS_PROC) return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => isWorkerd(pid) && (readProc(pid, "cmdline")?.split("\0").includes(configFile) ?? false));
}

function processState(pid: number): string | undefined {
  return statFields(pid)?.[0];
}

/** The fields of /proc/<pid>/stat after the program name, which may itself hold spaces and parentheses. */
function statFields(pid: number): string[] | undefined {
  const stat = HAS_PROC ? readProc(pid, "stat") : undefined;
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return undefined; // gone in between
  }
}
