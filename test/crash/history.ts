/**
 * What was seen of a run from outside: by the clients, the consumer's output and the receiver of a subscription. It is
 * all that the checker knows. Times are milliseconds of one clock, that of the process in which all clients run.
 */
import type { Phase } from "../../worker/tenants/moving/move.ts";
import type { Change } from "./model.ts";

export interface History {
  operations: Operation[];
  /** What the consumer handled, in its order; null when nobody looked. */
  events: Announcement[] | null;
  /** What the subscription's receiver accepted, in its order; null when nobody was subscribed. */
  deliveries: Announcement[] | null;
  tables: TableHistory[];
  /** Rows of the history of values in the end, which training data is made of; null when nobody looked. */
  kept: Announcement[] | null;
  /** Writes and computations that were answered 503 with `Retry-After`. */
  refusals: Refusal[];
  /** How the tenant was spread, each time that somebody looked; in the order of the calls. */
  sightings: Sighting[];
  /** Where rows of entities were in the end; null when nobody looked. */
  places: Places | null;
}

export interface Refusal {
  /** Method and path. */
  asked: string;
  calledMs: number;
  answeredMs: number;
}

export interface Sighting {
  calledMs: number;
  answeredMs: number;
  /** Over how many databases it is spread. */
  databases: number;
  /** Of the move that is under way; null: none is. */
  phase: Phase | null;
}

export interface Places {
  /** Over how many the tenant is to be spread. */
  databases: number;
  /** The entities of each database, which are in no order. */
  found: readonly (readonly string[])[];
}

export interface Operation {
  /** One for each entity of a request. Repetitions of a request with its `Idempotency-Key` have the same. */
  id: string;
  client: number;
  /** Which process was asked: they are counted from 1. */
  life: number;
  /** `type/value`. */
  entity: string;
  calledMs: number;
  /** Null: it was never answered, so it may take effect at any time after it was called, or never. */
  answeredMs: number | null;
  action: Action;
  outcome: Outcome;
  /** A read of a new process, when nothing was owed any more and nobody wrote. */
  isAtRest?: boolean;
}

export type Action =
  | { kind: "change"; change: Change; ifRevision: number | null }
  | { kind: "read"; consistency: "edge" | "session" | "strong"; categories: readonly string[] };

export type Outcome =
  | { kind: "applied"; revision: number; categories: readonly string[] }
  /** Stale, a duplicate, or a deletion of nothing, which is not told the revision. */
  | { kind: "unchanged"; revision: number | null }
  /** `if_revision` did not fit. */
  | { kind: "refused" }
  | { kind: "seen"; revision: number; present: Readonly<Record<string, Shown>> }
  /** A read that found none of its categories. */
  | { kind: "nothing" }
  | { kind: "unknown" };

/** One category in an answer. */
export interface Shown {
  data: Readonly<Record<string, unknown>>;
  computeId: string | null;
  createdAt: string;
}

export interface Announcement {
  eventId: string;
  entity: string;
  category: string;
  revision: number;
  computeId: string | null;
}

/** A raw table, and a feature of it that is computed as rows arrive: its vector names the rows of an entity. */
export interface TableHistory {
  table: string;
  ingests: Ingest[];
  end: TableEnd;
}

export interface Ingest {
  /** Repetitions with the same `Idempotency-Key` have the same. */
  id: string;
  calledMs: number;
  answeredMs: number | null;
  rows: readonly { row: string; entity: string }[];
  /** Rows in the table after it, and how many of them it brought; null: no answer. */
  kept: { total: number; count: number } | null;
}

/** What the table and its feature show when everything has come to rest. */
export interface TableEnd {
  rowCount: number;
  /** By a computation over all ingested rows, by entity. */
  rows: Readonly<Record<string, readonly string[]>>;
  /** The same by the feature that is computed as rows arrive. */
  vectors: Readonly<Record<string, readonly string[]>>;
  /** Every entity that only computations write, as in events, with its last revision and its one category. */
  computed: readonly { entity: string; category: string; revision: number }[];
  jobs: readonly Job[];
}

/** A computation that was too large for its request. */
export interface Job {
  id: string;
  status: string;
  computed: number;
  /** Entities that it had to compute. */
  total: number;
  /** Entities that have no vector, or another than the rows say. */
  wrong: readonly string[];
}

/** @param rule Which promise is broken. */
export interface Finding {
  rule: Rule;
  entity: string;
  detail: string;
}

export type Rule =
  | "linearizable"
  | "undecided"
  | "repetition"
  | "phantom"
  | "session"
  | "own writes"
  | "created_at"
  | "cache"
  | `history ${"lost" | "left" | "doubled"}`
  | `${"event" | "delivery"} ${"lost" | "of nothing" | "identity" | "order"}`
  | "ingest"
  | "vector"
  | "job"
  | "refused"
  | "move"
  | "place";
