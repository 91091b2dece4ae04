/**
 * One launcher per data directory. workerd itself takes no lock: two of them on one directory would both run the same
 * room with separate memory. `<data>/lock.json` says who has it; a launcher that was killed leaves it behind, so a lock
 * counts only while its launcher is alive. Reading, judging and replacing the lock happen inside an exclusive SQLite
 * transaction on `<data>/lock.sqlite`, whose file lock the system drops with the process: two launchers that find
 * the same stale lock cannot both take it.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { HostError } from "./host-error.ts";
import { isAlive, isWorkerd, startTimeOf, workerdsServing } from "./processes.ts";

interface LockFacts {
  readonly launcherPid: number;
  /** Tells the launcher from a later process with its pid; null where the system does not say. */
  readonly launcherStart: string | null;
  readonly workerdPid: number | null;
  readonly workerdStart: string | null;
  /** ISO time, for people. */
  readonly lockedAt: string;
}

/** How long a SIGKILLed orphan may take to disappear; it only has to be reaped. */
const ORPHAN_END_MS = 5_000;
/** How long another launcher may hold the transaction; it does a few file operations in it and may wait for an orphan. */
const TAKEOVER_WAIT_MS = ORPHAN_END_MS + 1_000;

/** The lock while we hold it. */
export interface DataDirLock {
  /** Notes the workerd that now serves the directory, so that the next launcher can end it if we are killed. */
  noteWorkerd(pid: number): void;
  /** Gives the directory free. */
  release(): void;
}

/**
 * Takes the lock. When only an orphaned workerd is left from before, ends it and says so through `tell`.
 * @param configFile the configuration path workerd is started with: orphans that died unnoted are found by it.
 * @throws {HostError} when a living launcher holds the directory, with its pid.
 */
export async function lockDataDir(dataDir: string, configFile: string, tell: (line: string) => void): Promise<DataDirLock> {
  const file = join(dataDir, "lock.json");
  const takeover = new DatabaseSync(join(dataDir, "lock.sqlite"), { timeout: TAKEOVER_WAIT_MS });
  try {
    takeover.exec("BEGIN EXCLUSIVE");
    const old = readLock(file);
    if (old !== undefined && isSame(old.launcherPid, old.launcherStart)) {
      throw new HostError(`Cannot use ${dataDir}: a server with pid ${old.launcherPid} has it since ${old.lockedAt}; stop that one first`);
    }
    await endOrphans(orphansOf(old, configFile), tell);
    writeLock(file, ownFacts(null));
  } finally {
    takeover.close(); // rolls back; the transaction never wrote
  }
  return {
    noteWorkerd: (pid) => writeLock(file, ownFacts(pid)),
    release: () => rmSync(file, { force: true }),
  };
}

function orphansOf(old: LockFacts | undefined, configFile: string): number[] {
  const pids = new Set(workerdsServing(configFile));
  // Never by the pid alone: after a reboot it may be anybody's.
  if (old?.workerdPid != null && isSame(old.workerdPid, old.workerdStart) && isWorkerd(old.workerdPid)) pids.add(old.workerdPid);
  return [...pids];
}

/** SIGKILL loses nothing: whatever a client has a receipt for is committed (one fsync per commit, platform notes). */
async function endOrphans(pids: readonly number[], tell: (line: string) => void): Promise<void> {
  for (const pid of pids) {
    tell(`Ending workerd ${pid}, left over from a launcher that was killed`);
    process.kill(pid, "SIGKILL");
    const deadline = performance.now() + ORPHAN_END_MS;
    while (isAlive(pid)) {
      if (performance.now() > deadline) throw new HostError(`Cannot end workerd ${pid}, which still has the data directory`);
      await new Promise((done) => setTimeout(done, 10));
    }
  }
}

function isSame(pid: number, start: string | null): boolean {
  return isAlive(pid) && (start === null || startTimeOf(pid) === start);
}

function ownFacts(workerdPid: number | null): LockFacts {
  return {
    launcherPid: process.pid,
    launcherStart: startTimeOf(process.pid),
    workerdPid,
    workerdStart: workerdPid === null ? null : startTimeOf(workerdPid),
    lockedAt: new Date().toISOString(),
  };
}

/** An unreadable lock counts as none: it is replaced by rename, so only a foreign hand leaves half a file. */
function readLock(file: string): LockFacts | undefined {
  try {
    const facts = JSON.parse(readFileSync(file, "utf8")) as Partial<LockFacts> | null;
    if (typeof facts?.launcherPid !== "number") return undefined;
    return {
      launcherPid: facts.launcherPid,
      launcherStart: facts.launcherStart ?? null,
      workerdPid: facts.workerdPid ?? null,
      workerdStart: facts.workerdStart ?? null,
      lockedAt: facts.lockedAt ?? "an unknown time",
    };
  } catch {
    return undefined;
  }
}

function writeLock(file: string, facts: LockFacts): void {
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, `${JSON.stringify(facts, null, 2)}\n`);
  renameSync(fresh, file);
}
