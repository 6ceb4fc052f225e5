/**
 * The deletion of a tenant: what stands of it in D1, and what comes next. Pure.
 *
 * All that the tenant has is removed step by step, in sweeps. What was under way when it was deleted may still put something
 * where a sweep has been: it ends by itself, so a sweep that begins {@link DELETION_LATE_MS} after the one before is the last,
 * if it finds nothing.
 */
import * as z from "zod";
import { DELETION_LATE_MS } from "../../timings.ts";

/**
 * In this order: first the writers, which could make more of what comes after them; raw tables once no feature is computed from
 * them; files last, since the retention puts rows there that it has read.
 */
export const STEPS = [
  "writers",
  "subscriptions",
  "rows",
  "raw_tables",
  "statistics",
  "documents",
  "files",
] as const;

const stored = z.object({
  /** Whose turn it is: that of the message which has it. */
  run: z.int(),
  sweep: z.int(),
  step: z.enum(STEPS),
  /** Where the step goes on; null: at its beginning. */
  cursor: z.string().nullable(),
  /** Removed by this sweep, and by all. */
  found: z.int(),
  removed: z.int(),
  /** Milliseconds since 1970; the sweep begins no sooner. */
  fromMs: z.number(),
});
export type Deletion = z.infer<typeof stored>;

export const parseDeletion = (text: string): Deletion => stored.parse(JSON.parse(text));

export const NEW_DELETION: Deletion = {
  run: 0,
  sweep: 1,
  step: STEPS[0],
  cursor: null,
  found: 0,
  removed: 0,
  fromMs: 0,
};

/** What a piece of a step has done. */
export interface Piece extends Partial<Pick<Deletion, "cursor">> {
  removed: number;
  /** Whether the step has more to do. */
  isMore: boolean;
}

/** @returns null when nothing is left. */
export function afterPiece(
  before: Deletion,
  { removed, isMore, cursor = null }: Piece,
  nowMs: number,
): Deletion | null {
  const { step, sweep } = before;
  const found = before.found + removed;
  const after = { ...before, cursor: isMore ? cursor : null, found, removed: before.removed + removed };
  if (isMore) return after;
  const next = STEPS[STEPS.indexOf(step) + 1];
  if (next) return { ...after, step: next };
  if (sweep > 1 && found === 0) return null;
  const fromMs = nowMs + DELETION_LATE_MS;
  return { ...after, step: STEPS[0], sweep: sweep + 1, found: 0, fromMs };
}
