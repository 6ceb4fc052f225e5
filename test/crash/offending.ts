/** The smallest part of an entity's history that still breaks its promise, in words for a person. */
import { explain, isOrdered, operationsByEntity, toldByEvents } from "./check.ts";
import type { History, Operation } from "./history.ts";
import type { Verdict } from "./linearize.ts";
import { mergeRepetitions } from "./repetitions.ts";

/** Steps of the story that are shown before the place where nothing fits. */
const SHOWN_STEPS = 3;
const SHOWN_WAITING = 6;

/** Null when the entity's operations can be ordered: then the finding's own detail says all. */
export function smallestOffending(history: History, entity: string): string[] | null {
  const own = operationsByEntity(history).get(entity) ?? [];
  const told = toldByEvents(history);
  const { operations } = mergeRepetitions(own);
  if (explain(operations, told).kind === "fits") return null;
  const ordered = operations.filter(isOrdered);
  const prefix = shortestPrefix(ordered, (part) => explain(part, told).kind !== "fits");
  const part = withoutNeedless(prefix, (less) => explain(less, told).kind !== "fits");
  return linesOf(part, explain(part, told));
}

/** Up to a moment; what was not answered by then is of unknown outcome. Once nothing fits, nothing later can mend it. */
function shortestPrefix(
  operations: readonly Operation[],
  isWrong: (part: readonly Operation[]) => boolean,
): readonly Operation[] {
  const ends = operations.flatMap(({ answeredMs }) => answeredMs ?? []).sort((a, b) => a - b);
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (isWrong(upTo(operations, ends[middle] ?? 0))) high = middle;
    else low = middle + 1;
  }
  const part = upTo(operations, ends[high] ?? 0);
  return isWrong(part) ? part : operations;
}

function upTo(operations: readonly Operation[], endMs: number): Operation[] {
  return operations.flatMap((one): Operation[] => {
    if (one.calledMs > endMs) return [];
    if (one.answeredMs === null || one.answeredMs <= endMs) return [one];
    return one.action.kind === "read" ? [] : [{ ...one, answeredMs: null, outcome: { kind: "unknown" } }];
  });
}

/** What changed nothing only narrows the choice: without it everything else must still be wrong. */
function withoutNeedless(
  operations: readonly Operation[],
  isWrong: (part: readonly Operation[]) => boolean,
): readonly Operation[] {
  const needless = ({ outcome }: Operation) => outcome.kind !== "applied" && outcome.kind !== "unknown";
  const bare = operations.filter((one) => !needless(one));
  if (isWrong(bare)) return bare;
  const one = operations.find((each) => needless(each) && isWrong([...bare, each]));
  return one ? [...bare, one] : operations;
}

function linesOf(operations: readonly Operation[], { story, ...verdict }: Verdict): string[] {
  const waiting = "waiting" in verdict ? verdict.waiting : [];
  const last = story.at(-1);
  const categories = [...(last?.state.categories ?? [])].map(([name, { features, id }]) => {
    const values = Object.fromEntries([...features].map(([key, { value }]) => [key, value]));
    return `  ${name} of ${id}: ${JSON.stringify(values)}`;
  });
  const open = operations.filter(({ outcome }) => outcome.kind === "unknown").length;
  return [
    `${operations.length} operations, ${open} of them without an answer. In order up to revision ${story.length - 1}, last:`,
    ...story
      .slice(1)
      .slice(-SHOWN_STEPS)
      .flatMap(({ operation }) => (operation ? lineOf(operation) : [])),
    "there it stands at:",
    ...categories,
    "and none of these fits:",
    ...waiting.slice(0, SHOWN_WAITING).map(lineOf),
  ];
}

function lineOf({ id, client, life, calledMs, answeredMs, action, outcome }: Operation): string {
  const time = `${calledMs.toFixed(1)}–${answeredMs === null ? "…" : answeredMs.toFixed(1)} ms`;
  return `  ${id} of client ${client} in process ${life}, ${time}: ${JSON.stringify(action)} → ${JSON.stringify(outcome)}`;
}
