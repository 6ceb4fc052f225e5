/** From the rows of a computation to the vectors of entities. Pure. */
import { exceedsUtf8Bytes, hasAtMost } from "../characters.ts";
import { CONTROL_CHARACTER } from "../http/fields.ts";
import { MAX_CATEGORY_BYTES, MAX_NAME_CHARACTERS, MAX_NAMED_SKIPS, MAX_SQL_RESULT_BYTES } from "../limits.ts";
import { parseTimestamp } from "../timestamps.ts";
import type { CategoryWrite, EntityWrite } from "../writing/entity-write.ts";

export interface ComputedRow {
  /** In the result, from 0. */
  row: number;
  entity: string;
  /** The vector as the text of a JSON object. */
  data: string;
  /** The newest value of the table's timestamp column for the entity; null: none is known. */
  timestamp: string | null;
}

export interface Skipped {
  /** In the result, from 0. */
  row: number;
  reason: string;
}

export interface Skips {
  /** The first of them. */
  skipped: Skipped[];
  skippedCount: number;
}

type Vectors =
  | ({ ok: true; computed: ComputedRow[] } & Skips)
  /** Two rows of the result are of one entity. */
  | { ok: false; kind: "entity_twice"; entity: string; rows: number[] }
  /** As JSON, in which every row has the names of the columns, they are more than `mostBytes`. */
  | { ok: false; kind: "too_large" };

/**
 * @param timestamps Newest times by entity.
 * @param mostBytes What all vectors together may take in memory.
 */
export function vectorsOf(
  result: { columns: readonly string[]; rows: readonly (readonly unknown[])[] },
  entityKey: string,
  timestamps: ReadonlyMap<string, string>,
  mostBytes = MAX_SQL_RESULT_BYTES,
): Vectors {
  const at = result.columns.indexOf(entityKey);
  const computed: ComputedRow[] = [];
  const skipped: Skipped[] = [];
  const seen = new Map<string, number>();
  let skippedCount = 0;
  let bytes = 0;
  for (const [row, cells] of result.rows.entries()) {
    const [entity = null] = entitiesAmong([cells[at]]);
    const earlier = entity === null ? undefined : seen.get(entity);
    if (entity !== null && earlier !== undefined)
      return { ok: false, kind: "entity_twice", entity, rows: [earlier, row] };
    if (entity !== null) seen.set(entity, row);
    const vector = vectorText(result.columns, cells, at);
    const reason = faultOfEntity(cells[at], entityKey) ?? faultOfVector(vector);
    if (entity !== null && vector !== null && reason === null) {
      bytes += bytesInMemory(vector);
      if (bytes > mostBytes) return { ok: false, kind: "too_large" };
      computed.push({ row, entity, data: vector, timestamp: timestamps.get(entity) ?? null });
      continue;
    }
    skippedCount += 1;
    if (skipped.length < MAX_NAMED_SKIPS) skipped.push({ row, reason: reason ?? "" });
  }
  return { ok: true, computed, skipped, skippedCount };
}

/** A text with a character beyond Latin-1 takes two bytes for each: in memory, and on the way to whoever asked. */
function bytesInMemory(text: string): number {
  return /[\u0100-\uffff]/.test(text) ? 2 * text.length : text.length;
}

/** An entity as its values are: a number becomes its text. */
function entityText(value: unknown): string | null {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "bigint" ? String(value) : null;
}

/** The values that may be entities, as text. Of longer ones V8 hashes the length alone, so none is looked up. */
export function entitiesAmong(values: readonly unknown[]): string[] {
  return values.flatMap((value) => {
    const text = entityText(value);
    return text !== null && hasAtMost(text, MAX_NAME_CHARACTERS) ? [text] : [];
  });
}

function faultOfEntity(value: unknown, entityKey: string): string | null {
  if (value === null) return `${entityKey} is null`;
  const entity = entityText(value);
  if (entity === null) return `${entityKey} is neither text nor a number`;
  if (entity.length === 0) return `${entityKey} is empty`;
  if (!hasAtMost(entity, MAX_NAME_CHARACTERS))
    return `${entityKey} has more than ${MAX_NAME_CHARACTERS} characters`;
  return CONTROL_CHARACTER.test(entity) || !entity.isWellFormed()
    ? `${entityKey} has characters that no entity may have`
    : null;
}

/** The JSON object of all cells but the one at `at`; null when one is a BLOB, which JSON cannot hold. */
function vectorText(columns: readonly string[], cells: readonly unknown[], at: number): string | null {
  const texts: string[] = [];
  for (const [i, name] of columns.entries()) {
    if (i === at) continue;
    const value = cells[i] ?? null;
    if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return null;
    const text = typeof value === "bigint" ? String(value) : JSON.stringify(value);
    texts.push(`${JSON.stringify(name)}:${text}`);
  }
  return `{${texts.join(",")}}`;
}

function faultOfVector(vector: string | null): string | null {
  if (vector === null) return "a column is a BLOB";
  return exceedsUtf8Bytes(vector, MAX_CATEGORY_BYTES)
    ? `the vector has more than ${MAX_CATEGORY_BYTES} bytes as JSON`
    : null;
}

/** What is wrong with the columns of a result as names of features, or null. */
export function faultOfColumns(columns: readonly string[], entityKey: string): string | null {
  if (!columns.includes(entityKey)) {
    return `its result has no column \`${entityKey}\`, the entity key; it has ${columns.join(", ")}`;
  }
  if (columns.length < 2) return "its result has no column but the entity key";
  const odd = columns.find(
    (name) => name === "" || !hasAtMost(name, MAX_NAME_CHARACTERS) || CONTROL_CHARACTER.test(name),
  );
  if (odd !== undefined)
    return "a column of its result has no name that a feature may have; give it one with AS";
  const twice = columns.find((name, i) => columns.indexOf(name) < i);
  return twice === undefined ? null : `its result has two columns \`${twice}\``;
}

export interface VectorTarget {
  entityType: string;
  category: string;
  ttlSeconds: number | null;
  computeId: string;
}

/** The write of a vector: it replaces its category. */
export function vectorWrite(row: ComputedRow, target: VectorTarget): EntityWrite {
  const category: CategoryWrite = {
    category: target.category,
    mode: "replace",
    eventTime: row.timestamp === null ? null : parseTimestamp(row.timestamp),
    computeId: target.computeId,
    ttlSeconds: target.ttlSeconds,
    data: row.data,
    names: Object.keys(JSON.parse(row.data)),
  };
  return {
    kind: "write",
    entityType: target.entityType,
    entityValue: row.entity,
    source: "compute",
    ifRevision: null,
    categories: [category],
  };
}
