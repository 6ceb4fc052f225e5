/** What computes answers the same request with the same `Idempotency-Key` once: the raw table remembers the answer. */
import type { Answer } from "../http/answer.ts";
import { type AppContext, requestContext } from "../http/context.ts";
import { claimIdempotencyKey, keyReused } from "../writing/submit-changes.ts";
import { idempotencyOf, REPLAYED } from "../writing/submit-request.ts";
import type { RawTable } from "./raw-table.ts";

/**
 * A request that fails may be sent again and is computed again, as is one that comes while the first is not answered: its
 * vectors are the same.
 *
 * @throws Problem 422 when the key came with another request before.
 */
export async function answerOnce(
  c: AppContext,
  table: DurableObjectStub<RawTable>,
  compute: () => Promise<Answer>,
): Promise<Answer> {
  const idempotency = await idempotencyOf(c);
  if (!idempotency) return compute();
  await claimIdempotencyKey(requestContext(c), idempotency);
  const earlier = await table.earlierAnswer(idempotency.key);
  if (earlier) {
    // One writer of those that there were then knows the claim; when their number has changed, the table still knows.
    if (earlier.fingerprint !== idempotency.fingerprint) throw keyReused();
    const answer: Answer = JSON.parse(earlier.reply);
    return { ...answer, headers: { ...answer.headers, ...REPLAYED } };
  }
  const answer = await compute();
  await table.keepAnswer(idempotency, JSON.stringify(answer));
  return answer;
}
