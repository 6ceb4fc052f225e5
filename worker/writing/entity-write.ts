/** What a route asks an EntityWriter to do, and what it is told. Plain data: all of it crosses RPC. */
import type { WRITE_MODES } from "../db/column-values.ts";
import type { Idempotency } from "../db/idempotency-record.ts";
import type { EntityRef } from "../keys.ts";
import type { Micros } from "../timestamps.ts";

/** `replace`: the category becomes what is written. `merge`: only the features named change. */
export type WriteMode = (typeof WRITE_MODES)[number];

/** One category of a write. */
export interface CategoryWrite {
  category: string;
  mode: WriteMode;
  /** When the values became true; null: when the writer takes the write. */
  eventTime: Micros | null;
  computeId: string | null;
  ttlSeconds: number | null;
  /** The values as the text of a JSON object, so that nothing on the way has to parse or round them. */
  data: string;
  /** The keys of `data`. */
  names: string[];
}

/** A write of one entity. It is applied whole or not at all. */
export interface EntityWrite extends EntityRef {
  kind: "write";
  source: string | null;
  /** Refused unless the entity has this revision; 0: unless it was never written. */
  ifRevision: number | null;
  categories: CategoryWrite[];
}

/** The deletion of an entity, or of one of its categories. */
export interface EntityDelete extends EntityRef {
  kind: "delete";
  category: string | null;
  /** Whether values that are dated in the future may come back: those times were a mistake. */
  datedNow: boolean;
}

export type EntityChange = EntityWrite | EntityDelete;

/** Why a write was not taken; the caller's to mend. */
export type Rejection =
  | { reason: "revision_mismatch"; expected: number; actual: number }
  | { reason: "too_many_categories"; limit: number; found: number }
  | { reason: "category_too_large"; category: string; limitBytes: number; foundBytes: number }
  | { reason: "event_times_too_large"; category: string; limitBytes: number; foundBytes: number }
  | { reason: "entity_too_large"; limitBytes: number; foundBytes: number };

/** What became of a write. The revision is the entity's own, after it. */
type WriteResult =
  | { outcome: "applied"; revision: number; categories: string[] }
  | { outcome: "stale" | "duplicate"; revision: number }
  | { outcome: "rejected"; revision: number; rejection: Rejection };

/** What became of a deletion. `history` counts rows; `cached`: whether a hot-cache document was removed. */
type DeleteResult =
  | { outcome: "deleted"; revision: number; categories: string[]; history: number; cached: boolean }
  | { outcome: "not_found"; revision: number };

export type ChangeResult = WriteResult | DeleteResult;

/** A result with what its commit left behind. */
export interface Settled {
  result: RowResult;
  committedAt: Micros;
  /** The bookmark of the D1 session that committed it; null when it is not known: the own answer of the transaction was lost. */
  bookmark: string | null;
}

export interface ChangeRequest {
  rows: RequestRow[];
  /** Of each row in the caller's request: its result is remembered by it. */
  positions: number[];
  idempotency: Idempotency | null;
}

/** Why a write was refused, in words. */
export interface Reason {
  type: string;
  detail: string;
}

/** A row of a request that is not to be written. What it became when the request came before counts all the same. */
export interface Refusal extends EntityRef {
  kind: "refused";
  reason: Reason;
}

export type RequestRow = EntityChange | Refusal;

export type RowResult = ChangeResult | { outcome: "refused"; reason: Reason };

export type ChangeReply =
  | { kind: "settled"; settled: Settled[]; replayed: boolean }
  /** The same `Idempotency-Key` came with another request before. */
  | { kind: "key_reused" }
  /** Nothing of what is missing was acknowledged; the same request may be sent again. */
  | { kind: "unavailable" }
  /** Its tenant is being spread over more databases, and writes stop for some seconds. */
  | { kind: "moving" };
