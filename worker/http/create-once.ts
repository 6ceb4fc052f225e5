/**
 * What makes something makes it once for each `Idempotency-Key`. D1 remembers what was made in the transaction that makes
 * it: so no crash, no two at once and no deletion since makes another one.
 */
import { compareRequest, type IdempotencyRecord, rememberedUntil } from "../db/idempotency-record.ts";
import { findRecord, type Inserted, type Once } from "../db/insert-once.ts";
import { pepperOf } from "../env.ts";
import { assert, type Problem } from "../errors.ts";
import { hashSecret } from "../tenants/api-key.ts";
import { nowMicros } from "../timestamps.ts";
import { claimIdempotencyKey, keyReused } from "../writing/submit-changes.ts";
import { idempotencyOf, REPLAYED } from "../writing/submit-request.ts";
import { type AppContext, requestContext } from "./context.ts";

interface Creation<M> {
  /**
   * Decides what is to be made: all that the answer is put together from, as JSON holds it, and no secret. Not asked for
   * what was made before, which may be refused by now.
   */
  make: () => M | Promise<M>;
  insert: (made: M, once: Once | null) => Promise<Inserted>;
  /** The request holds a secret: of what is remembered of it, nobody can tell whether a guess is right. */
  holdsSecret?: boolean;
  /** Why it was not inserted, where anything can keep it out. */
  refusal?: (made: M) => Problem;
}

interface Created<M> {
  /** As it was when it was made. */
  made: M;
  /** By this request, not by an earlier one. */
  isNew: boolean;
  headers: Record<string, string>;
}

/**
 * @throws Problem of `make` and `refusal`; 422 when the `Idempotency-Key` is malformed or came with another request before,
 * 503 when that cannot be found out.
 */
export async function createOnce<M>(
  c: AppContext,
  { make, insert, holdsSecret = false, refusal }: Creation<M>,
): Promise<Created<M>> {
  const idempotency = await idempotencyOf(c);
  if (idempotency && holdsSecret) {
    const pepper = pepperOf(c.settings, "a request with a secret cannot be remembered");
    idempotency.fingerprint = hashSecret(`request:${idempotency.fingerprint}`, pepper);
  }
  const of = idempotency && { tenantId: c.principal.tenant, ...idempotency };
  const earlier = of && (await findRecord(c.env.DB, of));
  if (earlier && compareRequest(earlier, of.fingerprint, nowMicros()) !== "first") {
    return recalled(earlier, of.fingerprint);
  }
  const made = await make();
  // A key is one key of the tenant: its writers know those of all other routes.
  if (idempotency) await claimIdempotencyKey(requestContext(c), idempotency);
  const now = nowMicros();
  const record = of && { ...of, made: JSON.stringify(made), expiresAt: rememberedUntil(now) };
  const inserted = await insert(made, record && { record, now });
  if (inserted === "inserted") return { made, isNew: true, headers: {} };
  // One that came at the same time.
  if (inserted !== "refused") return recalled(inserted, record?.fingerprint);
  assert(refusal, "what nothing keeps out is inserted");
  throw refusal(made);
}

/** @throws Problem 422 where the record is of another request. */
function recalled<M>({ fingerprint, made }: IdempotencyRecord, asked: string | undefined): Created<M> {
  if (fingerprint !== asked) throw keyReused();
  return { made: JSON.parse(made) as M, isNew: false, headers: { ...REPLAYED } };
}
