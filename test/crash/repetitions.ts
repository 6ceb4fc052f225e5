/** A request that is sent again with its `Idempotency-Key` is one operation, with one answer. */
import { isDeepStrictEqual } from "node:util";
import type { Finding, Operation } from "./history.ts";

export function mergeRepetitions(operations: readonly Operation[]): {
  operations: Operation[];
  different: Finding[];
} {
  const different: Finding[] = [];
  const merged = [...Map.groupBy(operations, ({ id }) => id).values()].flatMap((tries) => {
    const answered = tries.filter(({ outcome }) => outcome.kind !== "unknown");
    const [first] = answered.length > 0 ? answered : tries;
    if (!first) return [];
    const other = answered.find(({ outcome }) => !isDeepStrictEqual(outcome, first.outcome));
    if (other) {
      const detail = `${first.id}: ${JSON.stringify(first.outcome)}, then ${JSON.stringify(other.outcome)}`;
      different.push({ rule: "repetition", entity: first.entity, detail });
    }
    const calledMs = Math.min(...tries.map((one) => one.calledMs));
    const answers = answered.flatMap(({ answeredMs }) => answeredMs ?? []);
    return [{ ...first, calledMs, answeredMs: answers.length > 0 ? Math.min(...answers) : null }];
  });
  return { operations: merged, different };
}
