/** What computes answers the same request with the same `Idempotency-Key` once: the raw table remembers the answer. */
import type { Idempotency } from "../db/idempotency-record.ts";
import type { Answer } from "../http/answer.ts";
import { type AppContext, requestContext } from "../http/context.ts";
import { claimIdempotencyKey, keyReused } from "../writing/submit-changes.ts";
import { idempotencyOf, REPLAYED } from "../writing/submit-request.ts";
import type { RawTable } from "./raw-table.ts";

/**
 * One that comes while the first is not answered waits for it, and is computed where that fails: nothing of a failure is
 * remembered. After a crash it is computed again, and its vectors are the same.
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
  if (!earlier) {
    const answering = answerAndKeep(table, idempotency, compute);
    // Who hangs up comes again: it goes on without them.
    c.after(answering.catch(() => {}));
    return answering;
  }
  // One writer of those that there were then knows the claim; when their number has changed, the table still knows.
  if (earlier.fingerprint !== idempotency.fingerprint) throw keyReused();
  return replayed(earlier.reply);
}

async function answerAndKeep(
  table: DurableObjectStub<RawTable>,
  idempotency: Idempotency,
  compute: () => Promise<Answer>,
): Promise<Answer> {
  try {
    const answer = await compute();
    const own = JSON.stringify(answer);
    // Where one that waited longer than it does was computed too, what the first to be kept was answered both are.
    const kept = await table.keepAnswer(idempotency, own);
    return kept === own ? answer : replayed(kept);
  } catch (cause) {
    // Should this not arrive, who waits goes on when the time is over.
    await table.giveUp(idempotency.key).catch(() => {});
    throw cause;
  }
}

function replayed(reply: string): Answer {
  const answer: Answer = JSON.parse(reply);
  return { ...answer, headers: { ...answer.headers, ...REPLAYED } };
}
