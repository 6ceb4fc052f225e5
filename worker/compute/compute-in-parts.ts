/**
 * Where the SQL fails on some entities it is run without them: entities on which it fails are halved until those are
 * alone that it fails on. So one row that the SQL cannot take keeps back no entity but its own.
 */
import { MAX_FAILED_QUERIES, MAX_FAILED_STEPS } from "../limits.ts";
import type { ComputeReply } from "./compute-request.ts";
import { wordsFor } from "./refused-computation.ts";
import type { ComputedRow } from "./vectors.ts";

export type ComputedParts =
  /** `failed`: entities on which the SQL fails, or that were not tried after too many of those, `error`: how it does on the first of them. */
  | { kind: "computed"; computed: ComputedRow[]; failed: string[]; error: string | null }
  /** Nothing could be computed. */
  | { kind: "own fault"; error: string };

/** @param compute Runs the SQL over the rows of these entities; nothing of it is kept. */
export async function computeInParts(
  compute: (entities: string[]) => Promise<ComputeReply>,
  entities: string[],
): Promise<ComputedParts> {
  const computed: ComputedRow[] = [];
  const failed: string[] = [];
  /** How it failed on the first of them. */
  let error: string | null = null;
  let failures = 0;
  let steps = 0;
  const parts = [entities];
  for (let part = parts.pop(); part; part = parts.pop()) {
    const reply = await compute(part);
    steps += reply.steps ?? 0;
    if (reply.kind === "computed") {
      for (const row of reply.computed) computed.push(row);
      continue;
    }
    const fault = reply.kind === "kept" ? "the result is too large" : wordsFor(reply);
    failures += 1;
    const isEnough = failures >= MAX_FAILED_QUERIES || steps >= MAX_FAILED_STEPS;
    if (!isEnough && part.length > 1) {
      parts.push(part.slice(part.length / 2), part.slice(0, part.length / 2));
      continue;
    }
    for (const entity of part) failed.push(entity);
    error ??= fault;
    if (!isEnough) continue;
    // Too many, or too long ones, to look further for the others: those that are left wait for their next rows.
    for (const untried of parts.splice(0).reverse()) for (const entity of untried) failed.push(entity);
  }
  if (error !== null && failed.length === entities.length) return { kind: "own fault", error };
  return { kind: "computed", computed, failed, error };
}
