/** Finds out from D1 which intents were committed, and what has to be announced of them. */
import { currentTable } from "../db/current-rows.ts";
import { jsonParts } from "../db/json-parts.ts";
import type { AnnouncedRow } from "../events/feature-available.ts";
import type { IntendedEntity } from "./intent.ts";

interface EntityOutcome {
  intended: IntendedEntity;
  committed: boolean;
  announced: AnnouncedRow[];
}

interface ProvenRow {
  entity: number;
  proof: number;
  compute_id: string | null;
  names: string | null;
}

// The names are taken from the data in SQL: the values, which may be large, are not needed.
const HISTORY_SQL = `
  SELECT ref.value ->> 0 AS entity, ref.value ->> 1 AS proof, h.compute_id AS compute_id,
    (SELECT json_group_array(key) FROM json_each(h.data)) AS names
  FROM json_each(?2) AS ref CROSS JOIN feature_history AS h
  WHERE h.tenant_id = ?1 AND h.entity_type = ref.value ->> 2 AND h.entity_value = ref.value ->> 3
    AND h.category = ref.value ->> 4 AND h.event_time = ref.value ->> 5 AND h.revision = ref.value ->> 6
    AND h.ingested_at = ref.value ->> 7 AND h.event_id = ref.value ->> 8`;

/** One indexed look-up for each proof, in as few round trips as their size allows. In the order of `intended`. */
export async function askCommitted(
  db: D1DatabaseSession,
  tenant: string,
  intended: readonly IntendedEntity[],
): Promise<EntityOutcome[]> {
  const outcomes: EntityOutcome[] = intended.map((entity) => ({
    intended: entity,
    committed: entity.proof.kind === "known",
    announced: [],
  }));
  const statements = [
    ...historyStatements(db, tenant, intended),
    ...tombstoneStatements(db, tenant, intended),
  ];
  if (statements.length === 0) return outcomes;
  const results = await db.batch<ProvenRow>(statements);
  const rows = results
    .flatMap(({ results: found }) => found)
    .sort((a, b) => a.entity - b.entity || a.proof - b.proof);
  for (const row of rows) {
    const outcome = outcomes[row.entity];
    if (!outcome) continue;
    outcome.committed = true;
    const { proof } = outcome.intended;
    const key = proof.kind === "history" ? proof.rows[row.proof] : undefined;
    if (!key) continue;
    const names = JSON.parse(row.names ?? "[]") as string[];
    outcome.announced.push({ ...key, computeId: row.compute_id, names });
  }
  return outcomes;
}

function historyStatements(db: D1DatabaseSession, tenant: string, intended: readonly IntendedEntity[]) {
  const rows = intended.flatMap(({ ref, proof }, entity) =>
    proof.kind !== "history"
      ? []
      : proof.rows.map(({ category, eventTime, revision, ingestedAt, eventId }, position) => [
          entity,
          position,
          ref.entityType,
          ref.entityValue,
          category,
          eventTime,
          revision,
          ingestedAt,
          eventId,
        ]),
  );
  return jsonParts(rows).map((json) => db.prepare(HISTORY_SQL).bind(tenant, json));
}

function tombstoneStatements(db: D1DatabaseSession, tenant: string, intended: readonly IntendedEntity[]) {
  return intended.flatMap(({ ref, proof }, entity) => {
    if (proof.kind !== "tombstone") return [];
    const table = currentTable(ref.entityType);
    const sql = `SELECT ?7 AS entity, 0 AS proof, NULL AS compute_id, NULL AS names FROM ${table.name} AS t
      WHERE t.tenant_id = ?1 AND ${table.matches("t", "?2", "?3")}
        AND t.category = ?4 AND t.revision = ?5 AND t.updated_at = ?6 AND t.data IS NULL`;
    return db
      .prepare(sql)
      .bind(tenant, ref.entityType, ref.entityValue, proof.category, proof.revision, proof.updatedAt, entity);
  });
}
