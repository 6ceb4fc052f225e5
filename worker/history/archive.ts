/**
 * Archives of the history: what retention removes is first put into a bucket, as Parquet files of one tenant each.
 *
 * A file is named after its content, so rows that are archived again, because something failed before they were
 * removed, overwrite their file. Together with rows that have grown old meanwhile they are a second time in another
 * file: whoever reads the archive takes rows of the same key once.
 */
import { archiveKey } from "../keys.ts";
import { ARCHIVE_MAX_BYTES_AT_ONCE, ARCHIVE_MAX_FILES_AT_ONCE } from "../limits.ts";
import { formatTimestamp, type Micros } from "../timestamps.ts";
import { type Column, PARQUET_TYPE, parquetFile, timeValue } from "./parquet-file.ts";

/** As it stands in `feature_history`. */
export interface HistoryRow {
  tenant_id: string;
  entity_type: string;
  entity_value: string;
  category: string;
  event_time: Micros;
  revision: number;
  mode: string;
  data: string;
  ingested_at: Micros;
  compute_id: string | null;
  expires_at: Micros | null;
  event_id: string | null;
}

/** A row of the history, and what it takes, nearly. */
export interface SizedRow {
  tenant_id: string;
  bytes: number;
}

/**
 * The first rows, as many as are archived at once: at least one, then up to its bytes and its files. Pure.
 *
 * @param rows In the order of their key: those of a tenant lie side by side.
 */
export function archivedAtOnce<R extends SizedRow>(rows: readonly R[]): R[] {
  let bytes = 0;
  const tenants = new Set<string>();
  const end = rows.findIndex((row, position) => {
    bytes += row.bytes;
    tenants.add(row.tenant_id);
    const isTooMuch = bytes > ARCHIVE_MAX_BYTES_AT_ONCE || tenants.size > ARCHIVE_MAX_FILES_AT_ONCE;
    return isTooMuch && position > 0;
  });
  return rows.slice(0, end === -1 ? rows.length : end);
}

/** @throws when the bucket fails; some of the files may be there. */
export async function archiveRows(bucket: R2Bucket, rows: readonly HistoryRow[], now: Micros): Promise<void> {
  const day = formatTimestamp(now).slice(0, "2026-01-01".length);
  for (const [tenant, own] of Map.groupBy(rows, ({ tenant_id }) => tenant_id)) {
    const file = parquetFile(columnsOf(own));
    const digest = Buffer.from(await crypto.subtle.digest("SHA-256", file)).toString("hex");
    await bucket.put(archiveKey(tenant, day, digest), file, { httpMetadata: { contentType: PARQUET_TYPE } });
  }
}

/** The columns of the table, times as timestamps and `data` as JSON text. Pure. */
function columnsOf(rows: readonly HistoryRow[]): Column[] {
  const texts = (name: "tenant_id" | "entity_type" | "entity_value" | "category" | "mode" | "compute_id") =>
    ({ name, type: "STRING", values: rows.map((row) => row[name]) }) satisfies Column;
  const times = (name: "event_time" | "ingested_at" | "expires_at") =>
    ({ name, type: "TIMESTAMP", values: rows.map((row) => timeValue(row[name])) }) satisfies Column;
  return [
    ...(["tenant_id", "entity_type", "entity_value", "category"] as const).map(texts),
    times("event_time"),
    { name: "revision", type: "INT64", values: rows.map(({ revision }) => BigInt(revision)) },
    texts("mode"),
    { name: "data", type: "JSON", values: rows.map(({ data }) => data) },
    times("ingested_at"),
    texts("compute_id"),
    times("expires_at"),
    { name: "event_id", type: "STRING", values: rows.map(({ event_id }) => event_id) },
  ];
}
