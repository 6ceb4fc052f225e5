/** The record of a deletion, in D1. Every change of it holds only where nobody has changed it since it was read. */
import { nowMicros } from "../../timestamps.ts";
import { type Deletion, NEW_DELETION, parseDeletion } from "./deletion.ts";

export interface FoundDeletion {
  deletion: Deletion;
  /** As it stands. */
  text: string;
}

const taskOf = (tenant: string) => `delete/${tenant}`;
const IS_DELETING = "SELECT 1 FROM tenants WHERE tenant_id = ?1 AND status = 'deleting'";

/** Of a suspended tenant; of one that is being deleted already it goes on. */
export async function beginDeletion(db: D1Database, tenant: string): Promise<void> {
  await db.batch([
    db
      .prepare("UPDATE tenants SET status = 'deleting' WHERE tenant_id = ? AND status = 'suspended'")
      .bind(tenant),
    db
      .prepare(
        `INSERT INTO maintenance (task, cursor, updated_at) SELECT ?2, ?3, ?4 WHERE EXISTS (${IS_DELETING})
         ON CONFLICT DO NOTHING`,
      )
      .bind(tenant, taskOf(tenant), JSON.stringify(NEW_DELETION), nowMicros()),
  ]);
}

/** At the primary. Null: none is under way. */
export async function findDeletion(db: D1Database, tenant: string): Promise<FoundDeletion | null> {
  const text = await db
    .withSession("first-primary")
    .prepare("SELECT cursor FROM maintenance WHERE task = ?")
    .bind(taskOf(tenant))
    .first<string>("cursor");
  return text === null ? null : { text, deletion: parseDeletion(text) };
}

export async function deletingTenants(db: D1Database): Promise<string[]> {
  const { results } = await db
    .prepare("SELECT tenant_id FROM tenants WHERE status = 'deleting' ORDER BY tenant_id")
    .all<{ tenant_id: string }>();
  return results.map(({ tenant_id: tenant }) => tenant);
}

/** @returns null where somebody else has gone on with it. */
export async function updateDeletion(
  db: D1Database,
  tenant: string,
  { text, deletion }: FoundDeletion,
): Promise<FoundDeletion | null> {
  const next = JSON.stringify(deletion);
  const { meta } = await db
    .prepare("UPDATE maintenance SET cursor = ?3, updated_at = ?4 WHERE task = ?1 AND cursor = ?2")
    .bind(taskOf(tenant), text, next, nowMicros())
    .run();
  return meta.changes === 1 ? { text: next, deletion } : null;
}

/** Nothing is left but the id, so that it is never given again. */
export async function endDeletion(db: D1Database, tenant: string, text: string): Promise<void> {
  const task = taskOf(tenant);
  await db.batch([
    db
      .prepare(
        `UPDATE tenants SET status = 'deleted', name = '' WHERE tenant_id = ?1
         AND EXISTS (SELECT 1 FROM maintenance WHERE task = ?2 AND cursor = ?3)`,
      )
      .bind(tenant, task, text),
    db.prepare("DELETE FROM maintenance WHERE task = ? AND cursor = ?").bind(task, text),
  ]);
}

/** Whether it is deleted, or being so. */
export async function isGone(db: D1Database, tenant: string): Promise<boolean> {
  const found = await db
    .prepare("SELECT 1 FROM tenants WHERE tenant_id = ? AND status IN ('deleting', 'deleted')")
    .bind(tenant)
    .first();
  return found !== null;
}
