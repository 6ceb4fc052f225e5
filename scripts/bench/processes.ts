/**
 * What the runtimes' processes have used of the processors, where the system tells (Linux). Beside it a time on the
 * clock says little on a machine that does other things as well.
 */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const MS_PER_TICK = 10;
const LOOK_EVERY_MS = 250;
const QUIET_SHARE = 0.05;
const LONGEST_WAIT_MS = 8_000;
/** Where processes cannot be looked at. */
const BLIND_WAIT_MS = 2_000;

/** The processes that this one has started. */
export function children(): number[] {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && statOf(Number(name))?.parent === process.pid)
      .map(Number);
  } catch {
    return [];
  }
}

/** Null where the system does not tell. */
export function cpuMs(pid: number | null): number | null {
  return pid === null ? null : (statOf(pid)?.cpuMs ?? null);
}

/** Waits until a process rests, as far as it can be seen: what one measurement left to do must not slow the next. */
export async function quiet(pids: readonly (number | null)[]): Promise<void> {
  const used = () => pids.map((pid) => cpuMs(pid));
  if (used().includes(null)) return sleep(BLIND_WAIT_MS);
  const total = () => used().reduce<number>((sum, ms) => sum + (ms ?? 0), 0);
  for (const startMs = performance.now(); performance.now() - startMs < LONGEST_WAIT_MS; ) {
    const before = total();
    await sleep(LOOK_EVERY_MS);
    if (total() - before <= QUIET_SHARE * LOOK_EVERY_MS) return;
  }
}

function statOf(pid: number): { parent: number; cpuMs: number } | null {
  try {
    // pid (command) state ppid … utime stime as the 14th and 15th; the command may hold spaces and parentheses.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[11]) + Number(fields[12]);
    return { parent: Number(fields[1]), cpuMs: ticks * MS_PER_TICK };
  } catch {
    return null;
  }
}
