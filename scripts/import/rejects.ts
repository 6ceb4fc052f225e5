/** The file of `--rejects`: a JSON object on each line, written at once, so that a run that is broken off loses none. */
import { openSync, writeSync } from "node:fs";
import { CommandFault } from "../service.ts";
import type { Reject } from "./tally.ts";

/** @param unit What the places in a file count. @throws CommandFault when the file cannot be made. */
export function rejectsFile(path: string, unit: (file: string) => string): (rejected: Reject) => void {
  const file = opened(path);
  return ({ file: from, place, reason, row }) => {
    writeSync(file, `${JSON.stringify({ file: from, [unit(from)]: place, reason, row })}\n`);
  };
}

function opened(path: string): number {
  try {
    return openSync(path, "w");
  } catch (cause) {
    throw new CommandFault(`--rejects: ${cause instanceof Error ? cause.message : cause}`);
  }
}
