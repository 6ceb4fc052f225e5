/** What is written for a row of a file. Pure. */

import { PARSING } from "../../worker/http/faults.ts";
import { entityValue, type FeatureValues, featureValues } from "../../worker/http/fields.ts";
import { kindOf, rawDigits } from "../../worker/json.ts";
import type { Micros } from "../../worker/timestamps.ts";
import { eventTime, type TimeReading } from "./event-time.ts";
import { BadCell, type Row } from "./records.ts";

export interface Mapping {
  entityType: string;
  entityColumn: string;
  /** The column of event times and how it is read, or the one time of all rows. */
  time: { column: string; reading: TimeReading } | { at: Micros };
  category: string;
  /** Columns that are written, under their names; null: all others. */
  features: readonly string[] | null;
  mode: "merge" | "replace";
  /** `skip`: a null is left out, and so says nothing of an earlier value. */
  nulls: "write" | "skip";
}

export type RowOutcome =
  | { kind: "write"; entity: string; eventTime: Micros; features: FeatureValues }
  /** The row has no value, and a merge of none would say nothing. */
  | { kind: "empty" }
  | { kind: "rejected"; reason: string };

export function rowToWrite(row: Row, mapping: Mapping): RowOutcome {
  const { entityColumn, time, mode } = mapping;
  try {
    const entity = named(entityColumn, () => entityOf(row.get(entityColumn)));
    const at =
      "at" in time ? time.at : named(time.column, () => eventTime(row.get(time.column), time.reading));
    const features = featuresOf(row, mapping);
    if (features.names.length === 0 && mode === "merge") return { kind: "empty" };
    return { kind: "write", entity, eventTime: at, features };
  } catch (cause) {
    if (cause instanceof BadCell) return { kind: "rejected", reason: cause.message };
    throw cause;
  }
}

/** The columns that a row must have for anything to be written. */
export function neededColumns({ entityColumn, time }: Mapping): string[] {
  return "at" in time ? [entityColumn] : [entityColumn, time.column];
}

function named<T>(column: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw cause instanceof BadCell ? new BadCell(`${column} ${cause.message}`) : cause;
  }
}

/** A text, or a whole number, which is its digits. */
function entityOf(value: unknown): string {
  if (value === null || value === undefined || value === "") throw new BadCell("is empty");
  const text = Number.isSafeInteger(value) ? String(value) : (rawDigits(value) ?? value);
  if (typeof text !== "string") throw new BadCell(`must be a text or a whole number, found ${kindOf(value)}`);
  const { error } = entityValue.safeParse(text, PARSING);
  if (error) throw new BadCell(error.issues[0]?.message ?? "");
  return text;
}

function featuresOf(row: Row, mapping: Mapping): FeatureValues {
  const others = new Set(neededColumns(mapping));
  const columns = mapping.features ?? [...row.keys()].filter((name) => !others.has(name));
  const values: [string, unknown][] = [];
  for (const name of columns) {
    const value = row.get(name);
    if (value !== undefined && !(value === null && mapping.nulls === "skip")) values.push([name, value]);
  }
  // Own properties, whatever they are called.
  const { data, error } = featureValues.safeParse(Object.fromEntries(values), PARSING);
  if (data) return data;
  const [issue] = error?.issues ?? [];
  throw new BadCell([...(issue?.path ?? []), issue?.message].join(" "));
}
