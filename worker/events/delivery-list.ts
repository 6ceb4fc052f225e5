/** A Subscriber's deliveries as they are listed, straight from its SQLite. Times are milliseconds since 1970. */
import { rowsOf } from "../db/object-sql.ts";
import type { FeatureAvailable } from "./feature-available.ts";
import type { DeliveryStatus } from "./subscriber-store.ts";

export interface DeliveryRecord {
  seq: number;
  status: DeliveryStatus;
  attempts: number;
  lastStatus: number | null;
  lastError: string | null;
  createdAtMs: number;
  nextAttemptAtMs: number | null;
  deliveredAtMs: number | null;
  event: Pick<FeatureAvailable, "event_id" | "entity_type" | "entity_id" | "resource_name" | "revision">;
}

/** Newest first. */
export function selectDeliveries(
  sql: SqlStorage,
  page: { status: DeliveryStatus | null; before: number; limit: number },
): DeliveryRecord[] {
  const only = page.status === null ? "" : "AND d.status = ?3";
  // Only what a list shows of each event: a thousand whole events may be more than a call can answer.
  const rows = rowsOf<DeliveryRow>(
    sql,
    `SELECT d.seq, d.status, d.attempts, d.last_status, d.last_error, d.created_at, d.delivered_at, d.event_id, d.revision,
         d.event ->> 'entity_type' AS entity_type, d.event ->> 'entity_id' AS entity_id,
         d.event ->> 'resource_name' AS resource_name, CASE WHEN d.status = 'pending' THEN h.due_at END AS due_at
       FROM deliveries AS d LEFT JOIN heads AS h ON h.entity = d.entity
       WHERE d.seq < ?1 ${only} ORDER BY d.seq DESC LIMIT ?2`,
    page.before,
    page.limit,
    ...(page.status === null ? [] : [page.status]),
  );
  return rows.map(toRecord);
}

type DeliveryRow = {
  seq: number;
  status: DeliveryStatus;
  attempts: number;
  last_status: number | null;
  last_error: string | null;
  created_at: number;
  due_at: number | null;
  delivered_at: number | null;
  event_id: string;
  revision: number;
  entity_type: string;
  entity_id: string;
  resource_name: string;
};

function toRecord(row: DeliveryRow): DeliveryRecord {
  return {
    seq: row.seq,
    status: row.status,
    attempts: row.attempts,
    lastStatus: row.last_status,
    lastError: row.last_error,
    createdAtMs: row.created_at,
    nextAttemptAtMs: row.due_at,
    deliveredAtMs: row.delivered_at,
    event: {
      event_id: row.event_id,
      entity_type: row.entity_type,
      entity_id: row.entity_id,
      resource_name: row.resource_name,
      revision: row.revision,
    },
  };
}
