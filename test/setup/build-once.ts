/** Builds and migrates, once for all process tests, what a service of theirs starts from; see `startService`. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { BUILT_STATE, root } from "./service.ts";

const PROGRAM = join(import.meta.dirname, "build.ts");

export async function setup(): Promise<() => void> {
  const state = mkdtempSync(join(tmpdir(), "feature-store-built-"));
  const remove = () => rmSync(state, { recursive: true, force: true, maxRetries: 3 });
  // Of a run that is broken off, or cannot be built, nothing is left either.
  process.once("exit", remove);
  await promisify(execFile)(process.execPath, [PROGRAM, state], { cwd: root });
  process.env[BUILT_STATE] = state;
  return remove;
}
