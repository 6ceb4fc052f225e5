/**
 * What a time range of the history announced, made once more: an event is a function of its row alone.
 *
 * The table is walked along its primary key, so many rows a step, and the place is the caller's to keep. What lies before
 * the first row of the range is passed over in the index alone, many times as fast. Entities come whole, so that each one's
 * events are in revision order; one with more rows than a step takes is read by revision.
 */
import { jsonParts } from "../db/json-parts.ts";
import { REPLAY_BYTES_PER_QUERY, REPLAY_PASSED_PER_STEP, REPLAY_ROWS_PER_STEP } from "../limits.ts";
import { partsUpTo } from "../parts.ts";
import type { Micros } from "../timestamps.ts";
import { eventOf, type FeatureAvailable } from "./feature-available.ts";

export interface HistoryRange {
  /** By the time of ingestion, both included. */
  from: Micros;
  to: Micros;
  entityType: string | null;
  /** Only with an entity type. */
  entityId: string | null;
  category: string | null;
}

export type Place =
  /** Behind all rows of this entity. */
  | { kind: "after"; entityType: string; entityValue: string }
  /** Among the rows of this entity. */
  | { kind: "within"; entityType: string; entityValue: string; revision: number; category: string };

interface Entity {
  entity_type: string;
  entity_value: string;
}

export interface HistoryKey extends Entity {
  category: string;
  event_time: Micros;
  revision: number;
  ingested_at: Micros;
  event_id: string | null;
  bytes: number;
}

interface HistoryStep {
  /** The keys of announced rows in the range; those of one entity are in revision order. */
  keys: HistoryKey[];
  /** Null: all has been walked. */
  next: Place | null;
}

const KEY = "entity_type, entity_value, category, event_time, revision, ingested_at";
const COLUMNS = `${KEY}, event_id, octet_length(data) AS bytes`;

const AFTER = `FROM feature_history
  WHERE tenant_id = ?1 AND (entity_type, entity_value) > (?2, ?3) ORDER BY ${KEY}`;

/** Exported for the test that looks at their plans. The first entity with a row in the range; it ends where it finds one. */
export const FIRST_SQL = `SELECT entity_type, entity_value FROM (SELECT ${KEY} ${AFTER} LIMIT ${REPLAY_PASSED_PER_STEP})
  WHERE ingested_at BETWEEN ?4 AND ?5 LIMIT 1`;
/** Where the rows end that {@link FIRST_SQL} looks at; without an answer they are the last ones. */
export const PASSED_SQL = `SELECT entity_type, entity_value ${AFTER} LIMIT 1 OFFSET ${REPLAY_PASSED_PER_STEP - 1}`;
export const WALK_SQL = `SELECT ${COLUMNS} FROM feature_history
  WHERE tenant_id = ?1 AND (entity_type, entity_value) >= (?2, ?3) ORDER BY ${KEY} LIMIT ${REPLAY_ROWS_PER_STEP}`;
export const WITHIN_SQL = `SELECT ${COLUMNS} FROM feature_history
  WHERE tenant_id = ?1 AND entity_type = ?2 AND entity_value = ?3 AND event_id IS NOT NULL
    AND (revision, category) > (?4, ?5) AND ingested_at BETWEEN ?6 AND ?7
  ORDER BY revision, category LIMIT ${REPLAY_ROWS_PER_STEP}`;
const NAMES_SQL = `
  SELECT ref.key AS position, h.compute_id AS compute_id,
    (SELECT json_group_array(key) FROM json_each(h.data)) AS names
  FROM json_each(?2) AS ref CROSS JOIN feature_history AS h
  WHERE h.tenant_id = ?1 AND h.entity_type = ref.value ->> 0 AND h.entity_value = ref.value ->> 1
    AND h.category = ref.value ->> 2 AND h.event_time = ref.value ->> 3 AND h.revision = ref.value ->> 4
    AND h.ingested_at = ref.value ->> 5`;

export function startOf({ entityType, entityId }: HistoryRange): Place {
  if (entityType === null) return { kind: "after", entityType: "", entityValue: "" };
  // No entity has an empty value.
  if (entityId === null) return { kind: "after", entityType, entityValue: "" };
  return { kind: "within", entityType, entityValue: entityId, revision: 0, category: "" };
}

export async function walkHistory(
  db: D1Database,
  tenant: string,
  { range, place }: { range: HistoryRange; place: Place },
): Promise<HistoryStep> {
  const read = async <T>(sql: string, ...parameters: unknown[]) =>
    (
      await db
        .prepare(sql)
        .bind(tenant, ...parameters)
        .all<T>()
    ).results;
  const { entityType, entityValue } = place;
  if (place.kind === "within") {
    const { revision, category } = place;
    const more = [revision, category, range.from, range.to];
    const rows = await read<HistoryKey>(WITHIN_SQL, entityType, entityValue, ...more);
    return { keys: rows.filter((key) => isAnnounced(key, range)), next: afterWithin(rows, place, range) };
  }
  const [first] = await read<Entity>(FIRST_SQL, entityType, entityValue, range.from, range.to);
  if (first) {
    const rows = await read<HistoryKey>(WALK_SQL, first.entity_type, first.entity_value);
    return cutToEntities(rows, range);
  }
  const [passed] = await read<Entity>(PASSED_SQL, entityType, entityValue);
  const isEnd = !passed || (range.entityType ?? passed.entity_type) !== passed.entity_type;
  // Of the last entity there may be more rows, and some of them in the range.
  return { keys: [], next: isEnd ? null : beginningOf(passed) };
}

/** Pure. @param rows In the order of the key. */
export function cutToEntities(rows: readonly HistoryKey[], range: HistoryRange): HistoryStep {
  const last = rows.at(-1);
  if (!last) return { keys: [], next: null };
  const isEnd =
    rows.length < REPLAY_ROWS_PER_STEP || (range.entityType ?? last.entity_type) !== last.entity_type;
  const whole = isEnd ? rows : rows.filter((row) => !isSameEntity(row, last));
  const [first] = rows;
  if (whole.length === 0 && first) return { keys: [], next: beginningOf(first) };
  const end = whole.at(-1);
  const keys = whole.filter((row) => isAnnounced(row, range)).toSorted((a, b) => a.revision - b.revision);
  const next: Place | null =
    isEnd || !end ? null : { kind: "after", entityType: end.entity_type, entityValue: end.entity_value };
  return { keys, next };
}

function afterWithin(rows: readonly HistoryKey[], place: Place, range: HistoryRange): Place | null {
  const { entityType, entityValue } = place;
  const last = rows.at(-1);
  if (last && rows.length === REPLAY_ROWS_PER_STEP) {
    return { kind: "within", entityType, entityValue, revision: last.revision, category: last.category };
  }
  return range.entityId === null ? { kind: "after", entityType, entityValue } : null;
}

function isAnnounced(row: HistoryKey, { from, to, entityType, category }: HistoryRange): boolean {
  return (
    row.event_id !== null &&
    row.ingested_at >= from &&
    row.ingested_at <= to &&
    (entityType === null || row.entity_type === entityType) &&
    (category === null || row.category === category)
  );
}

function beginningOf({ entity_type: entityType, entity_value: entityValue }: Entity): Place {
  return { kind: "within", entityType, entityValue, revision: 0, category: "" };
}

function isSameEntity(a: Entity, b: Entity): boolean {
  return a.entity_type === b.entity_type && a.entity_value === b.entity_value;
}

/** The events of the rows, in their order and so many at a time that memory holds them. What is gone meanwhile is left out. */
export async function* eventsOf(
  db: D1Database,
  tenant: string,
  keys: readonly HistoryKey[],
): AsyncGenerator<FeatureAvailable[]> {
  for (const { items: part } of partsUpTo(keys, ({ bytes }) => bytes, REPLAY_BYTES_PER_QUERY)) {
    const rows = part.map((key) => [
      key.entity_type,
      key.entity_value,
      key.category,
      key.event_time,
      key.revision,
      key.ingested_at,
    ]);
    let start = 0;
    for (const json of jsonParts(rows)) {
      const { results } = await db
        .prepare(NAMES_SQL)
        .bind(tenant, json)
        .all<{ position: number; compute_id: string | null; names: string }>();
      const found = results.toSorted((a, b) => a.position - b.position);
      yield found.flatMap((row) => announce(tenant, part[start + row.position], row));
      start += (JSON.parse(json) as unknown[]).length;
    }
  }
}

function announce(
  tenant: string,
  key: HistoryKey | undefined,
  { compute_id: computeId, names }: { compute_id: string | null; names: string },
): FeatureAvailable[] {
  if (!key || key.event_id === null) return [];
  const ref = { entityType: key.entity_type, entityValue: key.entity_value };
  const row = {
    eventId: key.event_id,
    category: key.category,
    revision: key.revision,
    ingestedAt: key.ingested_at,
    eventTime: key.event_time,
    computeId,
    names: JSON.parse(names) as string[],
  };
  return [eventOf(tenant, ref, row)];
}
