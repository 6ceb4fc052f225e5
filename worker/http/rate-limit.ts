/** The requests of one key in a minute, counted by the platform for each of its locations: a guard against abuse. */
import { Problem } from "../errors.ts";
import { RATE_LIMIT_PERIOD_SECONDS } from "../limits.ts";
import type { AppContext } from "./context.ts";

/** @throws Problem 429 when the key has used up its requests. */
export async function limitRate(c: AppContext, keyId: string): Promise<void> {
  if (await isWithinLimit(c, keyId)) return;
  throw new Problem(429, "this key has made too many requests", {
    // The platform does not say when the counter begins anew; after a whole period it certainly has.
    headers: { "retry-after": String(RATE_LIMIT_PERIOD_SECONDS) },
  });
}

/** Intentionally fails open: whoever asks is known already, and a broken counter must not stop the store. */
async function isWithinLimit(c: AppContext, keyId: string): Promise<boolean> {
  try {
    const { success } = await c.env.KEY_RATE.limit({ key: keyId });
    return success;
  } catch (cause) {
    c.log.warning("rate limit not counted", { request_id: c.requestId, key_id: keyId }, cause);
    return true;
  }
}
