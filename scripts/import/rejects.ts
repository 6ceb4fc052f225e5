/** The file of `--rejects`: a JSON object on each line, written at once, so that a run that is broken off loses none. */
import { openSync, statSync, writeSync } from "node:fs";
import { CommandFault } from "../service.ts";
import type { Reject } from "./tally.ts";

/**
 * @param imported Files that are there, and must stay as they are.
 * @param unit What the places in a file count.
 * @throws CommandFault when the file cannot be made, or is one of those.
 */
export function rejectsFile(
  path: string,
  imported: readonly string[],
  unit: (file: string) => string,
): (rejected: Reject) => void {
  const own = imported.find((other) => isSameFile(path, other));
  if (own !== undefined) throw new CommandFault(`--rejects would write over ${own}, which is imported.`);
  const file = opened(path);
  return ({ file: from, place, reason, row }) => {
    writeSync(file, `${jsonOf({ file: from, [unit(from)]: place, reason, row })}\n`);
  };
}

/** However they are named: a link is the same file. */
function isSameFile(path: string, other: string): boolean {
  const [one, two] = [path, other].map((each) => statSync(each, { bigint: true, throwIfNoEntry: false }));
  return one !== undefined && one.dev === two?.dev && one.ino === two.ino;
}

/** What nests too deeply is read, but cannot be written: then the place must do. */
function jsonOf(told: Record<string, unknown>): string {
  try {
    return JSON.stringify(told);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    return JSON.stringify({ ...told, row: null });
  }
}

function opened(path: string): number {
  try {
    return openSync(path, "w");
  } catch (cause) {
    throw new CommandFault(`--rejects: ${cause instanceof Error ? cause.message : cause}`);
  }
}
