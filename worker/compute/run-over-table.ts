/** Runs a tenant's SQL over the rows of its table, with integers to the last digit. */
import { MAX_SQL_RESULT_BYTES } from "../limits.ts";
import type { ComputeReply, ComputeRequest } from "./compute-request.ts";
import { mayBeRounded, readDigits, withDigits } from "./exact-integers.ts";
import type { RawTableStore } from "./raw-table-store.ts";
import { readsClock } from "./sql/clock.ts";
import { checkSql } from "./sql/gate.ts";
import { runSql, type SqlRows } from "./sql/run.ts";
import { type ComputedRow, entitiesAmong, type Skips, vectorsOf } from "./vectors.ts";

type Refused = Extract<ComputeReply, { kind: "refused" | "no_entity_key" | "entity_twice" }>;

/** The vectors of entities that the SQL makes, or why it makes none. */
export function vectorsOverTable(
  storage: DurableObjectStorage,
  store: RawTableStore,
  request: ComputeRequest,
): ({ kind: "vectors"; computed: ComputedRow[]; steps: number } & Skips) | Refused {
  const { entityKey } = request;
  const result = runOverTable(storage, store, request);
  const { steps = 0 } = result;
  if (!result.ok) return { kind: "refused", fault: result.fault, steps };
  if (!result.columns.includes(entityKey)) return { kind: "no_entity_key", steps };
  const vectors = vectorsOf(result, entityKey, result.timestamps);
  if (vectors.ok) {
    const { computed, skipped, skippedCount } = vectors;
    return { kind: "vectors", computed, skipped, skippedCount, steps };
  }
  const { kind } = vectors;
  if (kind === "entity_twice") return { kind, entity: vectors.entity, rows: vectors.rows, steps };
  return { kind: "refused", fault: { reason: "too-many-bytes", limit: MAX_SQL_RESULT_BYTES }, steps };
}

/**
 * @returns the result, with the newest event time of each of its entities where the table knows them, and where the
 * clock has no part in it: what does is of the time of the computation, which its rows do not know.
 */
function runOverTable(
  storage: DurableObjectStorage,
  store: RawTableStore,
  { schema, sql, entityKey, source }: Pick<ComputeRequest, "schema" | "sql" | "entityKey" | "source">,
) {
  const statistics = store.statistics(schema, source, entityKey);
  let timestamps = new Map<string, string>();
  const checked = checkSql(sql);
  const isOfRows = checked.ok && !readsClock(checked, schema.columns);
  const prepare = () => store.createData(schema, source, entityKey);
  // Last: they are of the result's entities, and no estimate counts what they cost.
  const concluding =
    (read: (cell: unknown) => unknown) =>
    ({ columns, rows }: SqlRows) => {
      if (!isOfRows) return;
      const at = columns.indexOf(entityKey);
      const entities = entitiesAmong(rows.map((cells) => read(cells[at])));
      timestamps = store.newestTimestamps(schema, entityKey, entities);
      if (source.kind !== "given") store.erasedTimes.raise(timestamps, entityKey);
    };
  const conclude = concluding((cell) => cell);
  const result = runSql(storage, sql, statistics, { prepare, conclude });
  if (!result.ok || !checked.ok || !mayBeRounded(result.rows)) return { ...result, timestamps };
  const digits = withDigits(checked.sql, result.columns);
  const ours = { prepare, conclude: concluding(readDigits), isOurs: true };
  const exact = runSql(storage, digits, statistics, ours);
  return exact.ok
    ? { ...exact, rows: exact.rows.map((cells) => cells.map(readDigits)), timestamps }
    : { ...exact, timestamps };
}
