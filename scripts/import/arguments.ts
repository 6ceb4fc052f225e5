/** The arguments of `npm run import`, checked. Pure. */
import { parseArgs } from "node:util";
import { DTYPES, type Dtype } from "../../worker/db/column-values.ts";
import { PARSING } from "../../worker/http/faults.ts";
import { category, entityType } from "../../worker/http/fields.ts";
import { MAX_TTL_SECONDS } from "../../worker/limits.ts";
import { parseTimestamp, readTimestamp, TIMESTAMP_FORM } from "../../worker/timestamps.ts";
import { faultOfNumber, type NumberRange, readUrl } from "../options.ts";
import { TIME_UNITS, type TimeUnit } from "./event-time.ts";
import { FORMATS, type Format } from "./inputs.ts";
import { type Mapping, neededColumns } from "./row-to-write.ts";

export interface ImportOptions {
  url: string;
  key: string | null;
  files: string[];
  /** Null: what the names of the files say. */
  format: Format | null;
  delimiter: string;
  /** Of columns of CSV files. */
  types: Map<string, Dtype>;
  /** Of times without one. */
  zone: string | null;
  mapping: Mapping;
  ttlSeconds: number | null;
  /** Rows a second. */
  rate: number | null;
  concurrency: number;
  rejects: string | null;
  isDryRun: boolean;
}

export const USAGE = `
npm run import -- --file features.parquet --entity-column user_id --timestamp-column event_timestamp --category profile

  --url               the running service
  --key               an API key with the scope write; none is needed in development
  --file              Parquet, NDJSON or CSV (.parquet, .ndjson, .jsonl, .csv, the latter three also .gz). May come
                      several times; further files may stand at the end
  --format            ${FORMATS.join(", ")}: of files whose names do not say it
  --entity-type       of the entities
  --entity-column     the column with their values
  --timestamp-column  the column with the event times: timestamps, or ISO 8601 texts
  --event-timestamp   one event time for all rows, in place of a column
  --timestamp-unit    ${TIME_UNITS.join(", ")}: what the times count from 1970 on, where they are numbers
  --zone              of times that have none, such as +00:00 for UTC; a date is its first moment then
  --category          the category that is written
  --features          columns, comma separated, that are written under their names; without it all others
  --mode              merge: a row changes the features that it has; replace: it is all that the category has then
  --nulls             write: null (in CSV an empty cell) is written as null; skip: it is left out
  --ttl-seconds       how long after its event time a value may be read
  --types             of CSV columns, such as zip:string,age:int64; without it a column is numbers or booleans where
                      all of its cells are
  --delimiter         one character between the cells of CSV; \\t is a tab
  --rate              rows a second, at most
  --concurrency       requests at a time
  --rejects           a file for the rows that were rejected, with the reasons, as NDJSON
  --dry-run           reads and checks all rows, writes none, and shows the first two requests

Run it again after an interruption: what is written already stays as it is. The exit code is 1 when a row was rejected.`;

const OPTIONS = {
  url: { type: "string", default: "http://localhost:8787" },
  key: { type: "string" },
  file: { type: "string", multiple: true, default: [] as string[] },
  format: { type: "string" },
  "entity-type": { type: "string", default: "bright_uid" },
  "entity-column": { type: "string" },
  "timestamp-column": { type: "string" },
  "event-timestamp": { type: "string" },
  "timestamp-unit": { type: "string" },
  zone: { type: "string" },
  category: { type: "string" },
  features: { type: "string" },
  mode: { type: "string", default: "merge" },
  nulls: { type: "string", default: "write" },
  "ttl-seconds": { type: "string" },
  types: { type: "string" },
  delimiter: { type: "string", default: "," },
  rate: { type: "string" },
  concurrency: { type: "string", default: "4" },
  rejects: { type: "string" },
  "dry-run": { type: "boolean", default: false },
} as const;

const MAX_CONCURRENCY = 64;

/** @returns what is wrong with them, as a sentence, when something is. */
export function readArguments(args: string[]): ImportOptions | { fault: string } {
  try {
    return checked(args);
  } catch (cause) {
    return { fault: cause instanceof Error ? cause.message : String(cause) };
  }
}

function checked(args: string[]): ImportOptions {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true });
  const files = [...values.file, ...positionals];
  if (files.length === 0) throw new Error("--file is missing: the file that is imported.");
  const twice = files.find((file, position) => files.indexOf(file) < position);
  if (twice !== undefined) throw new Error(`${twice} is named twice.`);
  const address = readUrl(values.url);
  if ("fault" in address) throw new Error(address.fault);
  // Not shown: what fetch says of one that no header can hold would show it.
  if (values.key !== undefined && !/^[\x21-\x7e]+$/.test(values.key)) {
    throw new Error("--key must be an API key: letters, digits and underscores.");
  }
  const delimiter = values.delimiter === "\\t" ? "\t" : values.delimiter;
  if (!/^[\x20-\x7e\t]$/.test(delimiter) || delimiter === '"') {
    throw new Error(`--delimiter must be one ASCII character that is no quote, not \`${delimiter}\`.`);
  }
  const number = (name: "ttl-seconds" | "rate" | "concurrency", range: NumberRange) => {
    const fault = faultOfNumber(name, values[name] ?? "", range);
    if (fault !== null) throw new Error(fault);
    return Number(values[name]);
  };
  const zone = values.zone === undefined ? null : readZone(values.zone);
  const mapping = readMapping(values, zone);
  const types = readTypes(values.types ?? "");
  const needed = neededColumns(mapping).find((name) => types.has(name));
  if (needed !== undefined)
    throw new Error(`--types is of features, and \`${needed}\` is read as it must be.`);
  const seconds = { least: 0.001, most: MAX_TTL_SECONDS, isWhole: false };
  return {
    url: address.url,
    key: values.key ?? null,
    files,
    format: values.format === undefined ? null : oneOf("format", FORMATS, values.format),
    delimiter,
    types,
    zone,
    mapping,
    ttlSeconds: values["ttl-seconds"] === undefined ? null : number("ttl-seconds", seconds),
    rate: values.rate === undefined ? null : number("rate", { least: 0.1, isWhole: false }),
    concurrency: number("concurrency", { least: 1, most: MAX_CONCURRENCY }),
    rejects: values.rejects ?? null,
    isDryRun: values["dry-run"],
  };
}

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

function readMapping(values: Values, zone: string | null): Mapping {
  const entityColumn = needed("entity-column", values["entity-column"], "the column with the entities");
  const time = readTime(values, zone);
  const named = values.features?.split(",").map((name) => name.trim());
  if (named?.includes("")) throw new Error("--features must be names of columns with commas between them.");
  const others = "column" in time ? [entityColumn, time.column] : [entityColumn];
  if (new Set(others).size < others.length) {
    throw new Error(`--entity-column and --timestamp-column are both \`${entityColumn}\`.`);
  }
  return {
    entityType: checkedBy(entityType, "entity-type", values["entity-type"]),
    entityColumn,
    time,
    category: checkedBy(category, "category", needed("category", values.category, "what is written")),
    features: named ? [...new Set(named)] : null,
    mode: oneOf("mode", ["merge", "replace"] as const, values.mode),
    nulls: oneOf("nulls", ["write", "skip"] as const, values.nulls),
  };
}

function readTime(values: Values, zone: string | null): Mapping["time"] {
  const { "timestamp-column": column, "event-timestamp": at, "timestamp-unit": given } = values;
  const unit: TimeUnit | null = given === undefined ? null : oneOf("timestamp-unit", TIME_UNITS, given);
  if ((column === undefined) === (at === undefined)) {
    throw new Error(
      "One of --timestamp-column and --event-timestamp is needed: when the values became true.",
    );
  }
  if (column !== undefined) return { column, reading: { unit, zone } };
  if (unit !== null) throw new Error("--timestamp-unit is of a --timestamp-column.");
  const time = parseTimestamp(at ?? "");
  if (time === null) throw new Error(`--event-timestamp must be ${TIMESTAMP_FORM}, not \`${at}\`.`);
  return { at: time };
}

function readZone(zone: string): string {
  const isZone = typeof readTimestamp(`2026-01-01T00:00:00${zone}`) === "number";
  if (!isZone) throw new Error(`--zone must be Z or an offset such as +02:00, not \`${zone}\`.`);
  return zone;
}

function readTypes(text: string): Map<string, Dtype> {
  const pairs = text === "" ? [] : text.split(",");
  return new Map(
    pairs.map((pair) => {
      const colon = pair.lastIndexOf(":");
      if (colon < 1)
        throw new Error(`--types must be such as zip:string,age:int64; \`${pair}\` has no type.`);
      return [pair.slice(0, colon).trim(), oneOf("types", DTYPES, pair.slice(colon + 1).trim())];
    }),
  );
}

function needed(name: string, value: string | undefined, what: string): string {
  if (!value) throw new Error(`--${name} is missing: ${what}.`);
  return value;
}

function oneOf<const T extends string>(name: string, words: readonly T[], text: string): T {
  const found = words.find((word) => word === text);
  if (found === undefined) throw new Error(`--${name} must be one of ${words.join(", ")}, not \`${text}\`.`);
  return found;
}

function checkedBy(schema: typeof category, name: string, text: string): string {
  const { error } = schema.safeParse(text, PARSING);
  if (error) throw new Error(`--${name} ${error.issues[0]?.message}.`);
  return text;
}
