/** What is remembered of a request with an `Idempotency-Key` that has made something. Pure. */
import { MICROS_PER_SECOND, type Micros } from "../timestamps.ts";
import { IDEMPOTENCY_TTL_SECONDS } from "../timings.ts";
import type { idempotencyRecords } from "./schema.ts";

export type IdempotencyRecord = typeof idempotencyRecords.$inferSelect;

/** The caller's `Idempotency-Key` and a digest of its request. */
export type Idempotency = Pick<IdempotencyRecord, "key" | "fingerprint">;

/** Until when a request that comes now is remembered. */
export const rememberedUntil = (now: Micros): Micros => now + IDEMPOTENCY_TTL_SECONDS * MICROS_PER_SECOND;

/**
 * What a request is to the one that the record tells of, which has the same key. A record is over at its `expires_at`,
 * not after it: whatever comes then is the first.
 *
 * @param record Null: there is none.
 */
export function compareRequest(
  record: Pick<IdempotencyRecord, "fingerprint" | "expiresAt"> | null,
  fingerprint: string,
  now: Micros,
): "first" | "same" | "another" {
  if (record === null || record.expiresAt <= now) return "first";
  return record.fingerprint === fingerprint ? "same" : "another";
}
