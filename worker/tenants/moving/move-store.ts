/** The record of a move. Every change of it holds only where nobody has changed it since it was read. */
import { MOVE_OPENING_MS } from "../../timings.ts";
import { type Move, parseMove } from "./move.ts";

export interface FoundMove {
  /** Over how many databases the tenant is spread now. */
  databases: number;
  move: Move | null;
  /** As it stands. */
  text: string | null;
}

/** At the primary. Null: there is no such tenant, or it has not been used yet. */
export async function findMove(db: D1Database, tenant: string): Promise<FoundMove | null> {
  const row = await db
    .withSession("first-primary")
    .prepare(
      `SELECT t.databases, m.move FROM tenants AS t LEFT JOIN tenant_moves AS m USING (tenant_id)
       WHERE t.tenant_id = ? AND t.databases IS NOT NULL`,
    )
    .bind(tenant)
    .first<{ databases: number; move: string | null }>();
  if (!row) return null;
  const { databases, move: text } = row;
  return { databases, move: text === null ? null : parseMove(text), text };
}

/** Tenants that have a move, in the order of their ids. */
export async function movingTenants(db: D1Database): Promise<string[]> {
  const { results } = await db
    .prepare("SELECT tenant_id FROM tenant_moves ORDER BY tenant_id")
    .all<{ tenant_id: string }>();
  return results.map(({ tenant_id: tenant }) => tenant);
}

/** @returns its text; null where somebody else has begun one. */
export async function beginMove(db: D1Database, tenant: string, move: Move): Promise<string | null> {
  const text = JSON.stringify(move);
  const { meta } = await db
    .prepare("INSERT INTO tenant_moves (tenant_id, move) VALUES (?, ?) ON CONFLICT DO NOTHING")
    .bind(tenant, text)
    .run();
  return meta.changes === 1 ? text : null;
}

/** @returns its text; null where it has been changed since. */
export async function updateMove(
  db: D1Database,
  tenant: string,
  { text, move }: { text: string; move: Move },
): Promise<string | null> {
  const next = JSON.stringify(move);
  const { meta } = await updateStatement(db, tenant, { text, next }).run();
  return meta.changes === 1 ? next : null;
}

/** From when D1 notes it, which may be long after it was asked: until then isolates learn of the old databases. */
const OPENING_SQL = `UPDATE tenant_moves
  SET move = json_set(?3, '$.openAtMs', CAST(unixepoch('subsec') * 1000 AS INTEGER) + ${MOVE_OPENING_MS})
  WHERE tenant_id = ?1 AND move = ?2 RETURNING move`;

/** Together with the record the tenant's own: from then on its entities are looked for in `move.to` databases. */
export async function noteMoved(
  db: D1Database,
  tenant: string,
  { text, move }: { text: string; move: Move },
): Promise<string | null> {
  const [, updated] = await db.batch<{ move: string }>([
    db
      .prepare(
        `UPDATE tenants SET databases = ?2 WHERE tenant_id = ?1
         AND EXISTS (SELECT 1 FROM tenant_moves WHERE tenant_id = ?1 AND move = ?3)`,
      )
      .bind(tenant, move.to, text),
    db.prepare(OPENING_SQL).bind(tenant, text, JSON.stringify(move)),
  ]);
  return updated?.results[0]?.move ?? null;
}

/** A writer takes writes again: unless the entities have moved by now, they cannot before all writers pause once more. */
export async function endPause(db: D1Database, tenant: string, { move, text }: FoundMove): Promise<void> {
  if (move && text !== null) await updateMove(db, tenant, { text, move: { ...move, phase: "following" } });
}

export async function endMove(db: D1Database, tenant: string, text: string): Promise<void> {
  await db.prepare("DELETE FROM tenant_moves WHERE tenant_id = ? AND move = ?").bind(tenant, text).run();
}

function updateStatement(db: D1Database, tenant: string, { text, next }: { text: string; next: string }) {
  return db
    .prepare("UPDATE tenant_moves SET move = ?3 WHERE tenant_id = ?1 AND move = ?2")
    .bind(tenant, text, next);
}
