/** From the records of the files to the requests that write them; what cannot be written is told on the way. */
import { CommandFault } from "../service.ts";
import type { Input } from "./inputs.ts";
import type { FileRecord } from "./records.ts";
import { Gatherer, type RowWrite } from "./requests.ts";
import { type Mapping, type RowOutcome, rowToWrite } from "./row-to-write.ts";
import type { Reject } from "./tally.ts";

export interface Told {
  empty: () => void;
  reject: (rejected: Reject) => void;
}

/** The writes of each request. Those of two files are never in one. */
export async function* readRequests(
  inputs: readonly Input[],
  mapping: Mapping,
  told: Told,
): AsyncGenerator<RowWrite[]> {
  for (const { path, records } of inputs) {
    const gatherer = new Gatherer(mapping.mode);
    for await (const record of records()) {
      const outcome = outcomeOf(record, mapping);
      const at = { file: path, place: record.place };
      const raw = rawOf(record);
      if (outcome.kind === "empty") told.empty();
      else if (outcome.kind === "rejected") told.reject({ ...at, reason: outcome.reason, row: raw });
      else {
        const { entity, eventTime, features } = outcome;
        const rows = [{ place: record.place, raw }];
        const { values, data } = features;
        const full = gatherer.add({ file: path, entity, eventTime, values, data, rows });
        if (full) yield full;
      }
    }
    const last = gatherer.end();
    if (last) yield last;
  }
}

function outcomeOf(record: FileRecord, mapping: Mapping): RowOutcome {
  return "row" in record ? rowToWrite(record.row, mapping) : { kind: "rejected", reason: record.fault };
}

function rawOf(record: FileRecord): unknown {
  return "row" in record ? Object.fromEntries(record.row) : record.raw;
}

/** Rows that are looked at before the first is written. */
const PROBED_ROWS = 100;

/** @throws CommandFault when none of the first rows of a file can be written: then the options do not fit it. */
export async function assertReadable(
  inputs: readonly Input[],
  mapping: Mapping,
  unitOf: (file: string) => string,
) {
  for (const { path, records } of inputs) {
    let first: { place: number; reason: string } | null = null;
    let probed = 0;
    for await (const record of records()) {
      const outcome = outcomeOf(record, mapping);
      if (outcome.kind === "write") first = null;
      if (outcome.kind === "write") break;
      if (outcome.kind === "rejected") first ??= { place: record.place, reason: outcome.reason };
      probed += 1;
      if (probed === PROBED_ROWS) break;
    }
    if (!first) continue;
    const which = probed === 1 ? "Its one row" : `None of its first ${probed} rows`;
    const isOne = probed === 1 ? "cannot be written" : "can be written";
    throw new CommandFault(`${path}: ${which} ${isOne}: ${unitOf(path)} ${first.place}: ${first.reason}`);
  }
}
