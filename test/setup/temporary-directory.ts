/**
 * Keeps all that the tests store in memory, where the machine has room for it: a runtime waits for the disk after each
 * write, which on a slow disk is most of what a test waits for.
 */
import { mkdirSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";

const MEMORY = "/dev/shm";
const NAME = "feature-store-tests-";
/** Several times what a run has there at once. A container's is often far smaller. */
const ENOUGH_BYTES = 2 ** 30;

/** Whoever has set a directory for temporary files keeps it; macOS always has, and waits for no disk. */
export function useMemoryForTemporaryFiles(): void {
  if (process.env.TMPDIR !== undefined || !hasRoom()) return;
  for (const name of readdirSync(MEMORY)) if (isLeftOver(name)) remove(join(MEMORY, name));
  const directory = join(MEMORY, `${NAME}${process.pid}`);
  mkdirSync(directory, { recursive: true });
  process.env.TMPDIR = directory;
  // What wrangler is compiled to: each of the commands that tests start would else compile its 15 MB.
  process.env.NODE_COMPILE_CACHE ??= join(directory, "compiled");
  process.once("exit", () => remove(directory));
}

function hasRoom(): boolean {
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    return bavail * bsize >= ENOUGH_BYTES;
  } catch {
    return false;
  }
}

/** Of a run that was killed: memory would stay taken until the machine starts again. */
function isLeftOver(name: string): boolean {
  if (!name.startsWith(NAME)) return false;
  try {
    return !process.kill(Number(name.slice(NAME.length)), 0);
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "ESRCH";
  }
}

function remove(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
}
