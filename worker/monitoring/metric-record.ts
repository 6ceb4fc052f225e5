/**
 * What is measured: one record per request, one per operation on a store. Everything else is made from these: the
 * points of Analytics Engine (columns below), the series of `/metrics` (`count-record.ts`), StatsD, the log line.
 *
 * A record holds counts, times and names out of fixed lists. It has no field for an entity value, a feature's name or
 * value, or a key, so none of them can end up in a label, a tag or a column.
 */
import { assert } from "../errors.ts";
import { AE_MAX_BLOBS, AE_MAX_DOUBLES, AE_MAX_INDEX_BYTES } from "../limits.ts";
import type { ValueTally } from "./value-tally.ts";

/** In the columns of Analytics Engine: not known, or not applicable. */
export const UNKNOWN = -1;

/** What is asked of a store. In system A's words: `d1.get_item` was `dynamodb.get_item`, `queue.publish` `kafka.publish`. */
export const OPERATIONS = [
  "d1.get_item",
  "d1.put_item",
  "d1.catalog",
  "d1.history",
  "kv.get",
  "kv.put",
  "kv.delete",
  "writer.change",
  "writer.commit",
  "queue.publish",
  "queue.consume",
  "compute.consume",
] as const;
export type Operation = (typeof OPERATIONS)[number];

type OperationOutcome = "ok" | "error";

/** `unacknowledged`: it may or may not have happened, and the caller was told to try again. */
export const WRITE_OUTCOMES = [
  "applied",
  "stale",
  "duplicate",
  "rejected",
  "deleted",
  "not_found",
  "unacknowledged",
] as const;
export type WriteOutcome = (typeof WRITE_OUTCOMES)[number];

/** Where an entity was found. `d1` is the truth, the others are caches of it. */
export const TIERS = ["memory", "kv", "d1"] as const;
export type Tier = (typeof TIERS)[number];

/** Entity reads by the tier that answered. */
export type TierCounts = Record<Tier, number>;

export interface RequestRecord {
  kind: "request";
  /** `read.single_item` and the like; see `operation-names.ts`. */
  operation: string;
  /** The pattern of the route, never the path. */
  endpoint: string;
  method: string;
  status: number;
  durationMs: number;
  /** A built-in type, else `other`: declared ones are the tenant's words. Empty when there is none. */
  entityType: string;
  /** Null when no entity was read. */
  reads: TierCounts | null;
  /** Entities read or written, and categories written; {@link UNKNOWN} when neither. */
  entities: number;
  categories: number;
  /** Null when no value was answered. */
  values: ValueTally | null;
}

export interface OperationRecord {
  kind: "operation";
  operation: Operation;
  outcome: OperationOutcome;
  /** How often: those of one invocation that ended alike are one record in the end. */
  count: number;
  /** All together, and the longest. */
  durationMs: number;
  longestMs: number;
  /** Entities, keys, rows, events, messages, or the writes of a group, all together; {@link UNKNOWN} when not counted. */
  items: number;
  /** Only `writer.commit` has them: what became of the writes. */
  writes: Partial<Record<WriteOutcome, number>> | null;
}

export type MetricRecord = RequestRecord | OperationRecord;

/** The slowest tier that a request needed. */
export function slowestTier(reads: TierCounts | null): Tier | null {
  if (!reads) return null;
  return reads.d1 > 0 ? "d1" : reads.kv > 0 ? "kv" : reads.memory > 0 ? "memory" : null;
}

/**
 * The columns of Analytics Engine, in order; `index1` is the tenant. A column that does not apply is an empty text or
 * {@link UNKNOWN}. Stored points keep the layout of their day: new columns go to the end.
 *
 * | column | of a request | of an operation |
 * |---|---|---|
 * | blob1 kind | `request` | `operation` |
 * | blob2 operation | `read.single_item` … | one of {@link OPERATIONS} |
 * | blob3 endpoint, blob4 method | pattern of the route | |
 * | blob5 outcome | status class, such as `2xx` | `ok`, `error` |
 * | blob6 entity_type, blob7 cache_tier | a built-in one or `other`; the slowest tier | |
 * | double1 count | 1 | how many are in this point |
 * | double2 duration_ms | its own | all together |
 * | double3 status, double4 entities, double5 categories | | |
 * | double6-8 reads_memory, reads_kv, reads_d1 | entity reads by tier | |
 * | double9-12 values_present, …null, …not_found, …outside_max_age | values by status | |
 * | double13 longest_ms, double14 items | left out | the longest; entities, keys, events, messages or writes |
 * | double15-20 writes_applied, …stale, …duplicate, …rejected, …deleted, …unacknowledged | left out | of `writer.commit` |
 *
 * Each number of a point costs its request half a microsecond: those behind the last that it can have are left out, and zeros at the end, which is how
 * a missing number is read.
 */
export const BLOBS = [
  "kind",
  "operation",
  "endpoint",
  "method",
  "outcome",
  "entity_type",
  "cache_tier",
] as const;
export const DOUBLES = [
  "count",
  "duration_ms",
  "status",
  "entities",
  "categories",
  "reads_memory",
  "reads_kv",
  "reads_d1",
  "values_present",
  "values_null",
  "values_not_found",
  "values_outside_max_age",
  "longest_ms",
  "items",
  "writes_applied",
  "writes_stale",
  "writes_duplicate",
  "writes_rejected",
  "writes_deleted",
  "writes_unacknowledged",
] as const;

assert(BLOBS.length <= AE_MAX_BLOBS, "a point of Analytics Engine has more texts than it takes");
assert(DOUBLES.length <= AE_MAX_DOUBLES, "a point of Analytics Engine has more numbers than it takes");

export interface DataPoint {
  indexes: [string];
  blobs: string[];
  doubles: number[];
}

/** A record as Analytics Engine takes it, within its limits, which only production enforces. */
export function toDataPoint(record: MetricRecord, tenant: string): DataPoint {
  return record.kind === "request" ? requestPoint(record, tenant) : operationPoint(record, tenant);
}

function requestPoint(record: RequestRecord, tenant: string): DataPoint {
  const { operation, endpoint, method, status, durationMs, entityType, reads, values } = record;
  const tier = slowestTier(reads) ?? "";
  return {
    indexes: [indexOf(tenant)],
    blobs: ["request", operation, endpoint, method, statusClass(status), entityType, tier],
    doubles: withoutLastZeros([
      1,
      durationMs,
      status,
      record.entities,
      record.categories,
      reads?.memory ?? UNKNOWN,
      reads?.kv ?? UNKNOWN,
      reads?.d1 ?? UNKNOWN,
      values?.PRESENT ?? UNKNOWN,
      values?.NULL_VALUE ?? UNKNOWN,
      values?.NOT_FOUND ?? UNKNOWN,
      values?.OUTSIDE_MAX_AGE ?? UNKNOWN,
    ]),
  };
}

/** A number that is not there is read as 0. */
function withoutLastZeros(doubles: number[]): number[] {
  while (doubles.at(-1) === 0) doubles.pop();
  return doubles;
}

const OF_REQUESTS = new Array<number>(DOUBLES.indexOf("longest_ms") - DOUBLES.indexOf("status")).fill(
  UNKNOWN,
);

const POINT_OUTCOMES = ["applied", "stale", "duplicate", "rejected", "deleted", "unacknowledged"] as const;

function operationPoint(record: OperationRecord, tenant: string): DataPoint {
  const { operation, outcome, count, durationMs, longestMs, items, writes } = record;
  const written = POINT_OUTCOMES.map((each) => (writes ? (writes[each] ?? 0) : UNKNOWN));
  return {
    indexes: [indexOf(tenant)],
    blobs: ["operation", operation, "", "", outcome, "", ""],
    doubles: [count, durationMs, ...OF_REQUESTS, longestMs, items, ...written],
  };
}

const STATUS_CLASSES = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"];
const statusClass = (status: number) => STATUS_CLASSES[Math.floor(status / 100)] ?? "";

/** A tenant's id is 64 ASCII characters at most; whatever becomes of that rule, a longer one is cut here. */
function indexOf(tenant: string): string {
  if (tenant.length * 3 <= AE_MAX_INDEX_BYTES) return tenant;
  const bytes = new TextEncoder().encode(tenant);
  return new TextDecoder().decode(bytes.slice(0, AE_MAX_INDEX_BYTES)).replace(/\uFFFD$/, "");
}

/** Adds `more` to a record of the same operation and outcome. */
export function addOperation(to: OperationRecord, more: OperationRecord): void {
  to.count += more.count;
  to.durationMs += more.durationMs;
  to.longestMs = Math.max(to.longestMs, more.longestMs);
  if (more.items !== UNKNOWN) to.items = Math.max(0, to.items) + more.items;
  for (const outcome of more.writes ? WRITE_OUTCOMES : []) {
    const count = more.writes?.[outcome];
    if (count === undefined) continue;
    to.writes ??= {};
    to.writes[outcome] = (to.writes[outcome] ?? 0) + count;
  }
}
