/** What the object of a raw table is asked to compute, and what it answers. Plain data: all of it crosses RPC. */
import type { RawSchema } from "./raw-columns.ts";
import type { ComputeSource } from "./raw-table-store.ts";
import type { SqlFault } from "./sql/gate.ts";
import type { ComputedRow, Skips } from "./vectors.ts";

export interface ComputeRequest {
  schema: RawSchema;
  sql: string;
  entityKey: string;
  source: ComputeSource;
  /** Set for a computation by hand: over ingested rows a later one may overtake it, see `RawTable.mayWrite`. */
  version?: Version;
  /** With more entities than this the result is kept as a job of this id. */
  job: { jobId: string; moreThan: number; table: { tenant: string; tableId: number } } | null;
}

export type Version = { featureId: number; version: number };

export type ComputeReply =
  /** `seq`: the last ingest that the rows know of; null when they are of no ingested rows. */
  (
    | ({ kind: "computed"; computed: ComputedRow[]; seq: number | null } & Skips)
    | ({ kind: "kept"; total: number } & Skips)
    /** Nothing is kept: as many jobs of the table as may are not finished. */
    | { kind: "too_many_jobs" }
    | { kind: "refused"; fault: SqlFault }
    | { kind: "no_entity_key" }
    | { kind: "entity_twice"; entity: string; rows: number[] }
  ) & {
    /** What the query was estimated to take; none where it has not begun. */
    steps?: number;
  };
