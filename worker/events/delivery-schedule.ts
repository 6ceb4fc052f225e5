/**
 * When a delivery that failed is tried again, or that it is not. No clock and no randomness of its own.
 *
 * Exponential backoff with full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter):
 * many that failed together do not come back together.
 */
import { MAX_DELIVERY_ATTEMPTS } from "../limits.ts";
import { DELIVERY_RETRY_MAX_MS } from "../timings.ts";

interface FailedAttempt {
  /** Tries so far, this one among them. */
  attempts: number;
  nowMs: number;
  /** The longest wait before the second try. */
  firstRetryMs: number;
  /** What the receiver asked for, in milliseconds from now. */
  retryAfterMs: number | null;
  /** In [0, 1). */
  random: number;
}

export type NextAttempt = { kind: "retry"; atMs: number } | { kind: "dead" };

/** A receiver's own wish is kept, up to the longest delay there is; else any moment up to the doubled delay. */
export function afterFailure(failed: FailedAttempt): NextAttempt {
  const { attempts, nowMs, firstRetryMs, retryAfterMs, random } = failed;
  if (attempts >= MAX_DELIVERY_ATTEMPTS) return { kind: "dead" };
  const longest = Math.min(firstRetryMs * 2 ** (attempts - 1), DELIVERY_RETRY_MAX_MS);
  const wished = Math.min(retryAfterMs ?? 0, DELIVERY_RETRY_MAX_MS);
  return { kind: "retry", atMs: nowMs + Math.max(Math.floor(random * longest), wished) };
}

/**
 * The header `Retry-After`: seconds, or an HTTP date.
 *
 * @returns milliseconds from now, never less than none; null for a header that is missing or says nothing.
 */
export function parseRetryAfter(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  // Only the form that HTTP has: `Date.parse` would take "-1" for a year.
  const atMs = /^[A-Z][a-z]{2},? .* GMT$/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs);
}
