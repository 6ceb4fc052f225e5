/** Rows gathered into requests, and their bodies. Pure. */
import { assert } from "../../worker/errors.ts";
import { formatTimestamp, type Micros } from "../../worker/timestamps.ts";
import { WRITING_SOURCE } from "../items-batch.ts";
import type { Mapping } from "./row-to-write.ts";

/** Of the 1,000 that a request may have: so many are answered well within a second. */
const MAX_WRITES = 500;
/** Of the 10 MiB that a request may have, in characters of the features. */
const MAX_CHARACTERS = 2_000_000;

/** What is written of an entity at a time, and what is needed to tell of it if it is refused. */
export interface RowWrite {
  file: string;
  entity: string;
  eventTime: Micros;
  values: Record<string, unknown>;
  /** JSON of the values. */
  data: string;
  /** Where it comes from: mostly one row. */
  rows: { place: number; raw: unknown }[];
  /** What it is joined of, in the order of the files, where there are several rows. */
  parts?: readonly RowWrite[];
}

/** One write of several of the same entity and time, of which the later ones count. */
export function joined(parts: readonly RowWrite[], mode: Mapping["mode"]): RowWrite {
  const last = parts.at(-1);
  assert(last, "there is something to join");
  if (parts.length === 1) return last;
  const rows = parts.flatMap((part) => part.rows);
  if (mode === "replace") return { ...last, rows, parts };
  // Own properties, whatever they are called.
  const values = Object.fromEntries(parts.flatMap((part) => Object.entries(part.values)));
  return { ...last, values, data: JSON.stringify(values), rows, parts };
}

/** The store goes by the order of arrival where two writes have the same of these: none is under way twice at a time. */
export const orderKey = ({ entity, eventTime }: Pick<RowWrite, "entity" | "eventTime">) =>
  `${eventTime} ${entity}`;

/**
 * Rows of one entity and time become one write, in which the later row counts: so a request that comes again finds
 * everything as it left it, and changes nothing.
 */
export class Gatherer {
  readonly #mode: Mapping["mode"];
  readonly #writes = new Map<string, RowWrite[]>();
  #characters = 0;

  constructor(mode: Mapping["mode"]) {
    this.#mode = mode;
  }

  /** @returns the writes of a request that is full without this one. */
  add(write: RowWrite): RowWrite[] | null {
    const isFull = this.#writes.size === MAX_WRITES || this.#characters + write.data.length > MAX_CHARACTERS;
    const full = isFull ? this.end() : null;
    const key = orderKey(write);
    const earlier = this.#writes.get(key);
    if (earlier) earlier.push(write);
    else this.#writes.set(key, [write]);
    this.#characters += write.data.length;
    return full;
  }

  /**
   * @returns the writes of the last request, newest first; null where there is none. Then only the newest of an entity
   * becomes current and is announced, and the others go to the history alone.
   */
  end(): RowWrite[] | null {
    const writes = [...this.#writes.values()]
      .map((parts) => joined(parts, this.#mode))
      .sort((a, b) => b.eventTime - a.eventTime);
    this.#writes.clear();
    this.#characters = 0;
    return writes.length === 0 ? null : writes;
  }
}

export type BodyOptions = Pick<Mapping, "entityType" | "category" | "mode"> & { ttlSeconds: number | null };

/** The body of `POST /items/batch`: a line for each write, and one before and behind them. */
export function batchBody(writes: readonly RowWrite[], options: BodyOptions): string {
  const { mode, ttlSeconds } = options;
  const metadata = { source: WRITING_SOURCE, mode, ...(ttlSeconds !== null && { ttl_seconds: ttlSeconds }) };
  const data = writes.map((write) => writeText(write, options)).join(",\n");
  return `{"metadata":${JSON.stringify(metadata)},"data":[\n${data}\n]}`;
}

/** With the features as the check has written them: they are most of the text, and need not be written twice. */
function writeText({ entity, eventTime, data }: RowWrite, { entityType, category }: BodyOptions): string {
  const features = `{"category":${JSON.stringify(category)},"features":${data},"event_timestamp":"${formatTimestamp(eventTime)}"}`;
  return `{"entity_type":${JSON.stringify(entityType)},"entity_value":${JSON.stringify(entity)},"feature_list":[${features}]}`;
}
