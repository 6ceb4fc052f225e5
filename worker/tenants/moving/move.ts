/**
 * A move: the entities of a tenant are spread over more databases, while it is in use. What stands of it in D1, and what
 * comes next. Pure.
 *
 *   clearing   what an earlier move left in the new databases is removed; every writer notes what it changes from now on
 *   copying    all that belongs into a new database is copied, page by page
 *   following  entities that were changed meanwhile are copied once more, until there are few
 *   paused     no writer takes a write; the rest is copied, and documents get their new writers
 *   opening    readers look into the new databases; still no write, until every isolate has learnt of them
 *   cleaning   later, what has moved is removed from where it was
 */
import * as z from "zod";

export const PHASES = ["clearing", "copying", "following", "paused", "opening", "cleaning"] as const;
export type Phase = (typeof PHASES)[number];

/** The key of the last row that was looked at, in this database and table. */
const place = z.object({
  database: z.int(),
  table: z.int(),
  after: z.array(z.union([z.string(), z.number()])).nullable(),
});
export type Place = z.infer<typeof place>;

const stored = z.object({
  /** Over how many databases the tenant was spread, and is to be. */
  from: z.int(),
  to: z.int(),
  /** Writers of a database. Where that changes meanwhile, all begins anew: others write then. */
  partitions: z.int(),
  phase: z.enum(PHASES),
  /** Whoever goes on with the move has a higher number than all before: what those still do counts no more. */
  run: z.int(),
  place,
  /** Microseconds since 1970. All rows of the history that were ingested before are copied page by page. */
  since: z.int(),
  /** Rows, each time that they were copied. */
  copied: z.int(),
  /** Milliseconds since 1970; 0 before it is known. Writers do not pause before the first. */
  pauseFromMs: z.number(),
  openAtMs: z.number(),
  cleanAtMs: z.number(),
});
export type Move = z.infer<typeof stored>;

export const START: Place = { database: 0, table: 0, after: null };

export const parseMove = (text: string): Move => stored.parse(JSON.parse(text));

export function newMove(from: number, to: number, partitions: number): Move {
  const unknown = { since: 0, pauseFromMs: 0, openAtMs: 0, cleanAtMs: 0 };
  return { from, to, partitions, phase: "clearing", run: 0, place: START, copied: 0, ...unknown };
}

/** The databases that entities come from, and into which they go. */
export const sourcesOf = ({ from }: Move) => Array.from({ length: from }, (_, i) => i);
export const targetsOf = ({ from, to }: Move) => Array.from({ length: to - from }, (_, i) => from + i);

/** Whether its entities are where they are to be, for whoever reads. */
export const hasMoved = ({ phase }: Pick<Move, "phase">) => phase === "opening" || phase === "cleaning";

/** @param tables How many there are. @returns null behind the last one of the last database. */
export function nextTable({ database, table }: Place, databases: number, tables: number): Place | null {
  if (table + 1 < tables) return { database, table: table + 1, after: null };
  return database + 1 < databases ? { database: database + 1, table: 0, after: null } : null;
}
