/** Histories so small that every order of them can be tried: what the search is compared with. */
import { randomOf } from "../../scripts/random.ts";
import { pick } from "../setup/random.ts";
import type { Operation } from "./history.ts";
import { type Entity, NEW_ENTITY } from "./model.ts";
import { randomHistory } from "./random-history.ts";
import { takeEffect } from "./take-effect.ts";

const LENGTH = 6;

/** The first operations of a history of one entity, in half of the cases with something in them turned wrong. */
export function tinyHistory(seed: number): Operation[] {
  const random = randomOf(seed);
  const { operations } = randomHistory(seed, { steps: 10, entities: 1, clients: 4 });
  const ordered = operations.filter(
    ({ action }) => action.kind === "change" || action.consistency === "strong",
  );
  // Repetitions would be one operation.
  const tiny = [...new Map(ordered.map((one) => [one.id, one])).values()].slice(0, LENGTH);
  if (random() < 0.6) damage(random, tiny);
  return tiny;
}

function damage(random: () => number, operations: Operation[]): void {
  const one = pick(random, operations);
  const other = pick(random, operations);
  const dice = random();
  if (dice < 0.3) [one.outcome, other.outcome] = [other.outcome, one.outcome];
  else if (dice < 0.6) [one.action, other.action] = [other.action, one.action];
  else if (dice < 0.8) one.calledMs = (one.answeredMs ?? one.calledMs + 9) - 0.01;
  else if (one.action.kind === "change") one.outcome = { kind: "unknown" };
  for (const each of operations) {
    each.answeredMs = each.outcome.kind === "unknown" ? null : (each.answeredMs ?? each.calledMs + 20);
  }
}

/** The definition itself, without any thought of speed. */
export function canBeOrdered(operations: readonly Operation[], state: Entity = NEW_ENTITY): boolean {
  if (operations.every(({ outcome }) => outcome.kind === "unknown")) return true;
  const firstAnswerMs = Math.min(
    ...operations.map(({ answeredMs }) => answeredMs ?? Number.POSITIVE_INFINITY),
  );
  return operations.some((one) => {
    if (one.calledMs > firstAnswerMs) return false;
    const rest = operations.filter((other) => other !== one);
    // An operation without an answer may also never happen, which is to leave it to the end.
    const after = takeEffect(state, one);
    return after !== null && canBeOrdered(rest, after.state);
  });
}
