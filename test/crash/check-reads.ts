/**
 * Every read shows a state that there was, and none that was yet to come; a session never goes back; a category keeps
 * its `created_at` as long as it lives.
 *
 * A token is a write's: it survives the process. What a client has only read binds the process that answered it, since
 * nothing that the client could show to another says so.
 */
import type { Finding, Operation, Rule } from "./history.ts";
import type { Step } from "./linearize.ts";
import { isShown } from "./take-effect.ts";

type Read = Operation & { action: { kind: "read" } };

export function checkReads(
  entity: string,
  operations: readonly Operation[],
  story: readonly Step[],
): Finding[] {
  const reads = operations.filter((one): one is Read => one.action.kind === "read");
  const finding = (rule: Rule, read: Read, why: string): Finding => ({
    rule,
    entity,
    detail: `${why}: ${JSON.stringify(read)}`,
  });
  const phantoms = reads.filter((read) => !hasBeen(read, story));
  const old = reads
    .filter((read) => !phantoms.includes(read))
    .flatMap((read) => {
      const floor = floorOf(read, operations);
      if (!isOlder(read, floor, story)) return [];
      return [
        finding(read.action.consistency === "edge" ? "own writes" : "session", read, `older than ${floor}`),
      ];
    });
  return [
    ...phantoms.map((read) => finding("phantom", read, "no such state yet")),
    ...old,
    ...reads
      .filter((read) => read.isAtRest && !isLast(read, story))
      .map((read) => finding("cache", read, `at rest it is at revision ${story.length - 1}`)),
    ...changedBirths(entity, reads, story),
  ];
}

/** Caches lag, and come to say what the database says. */
function isLast({ action, outcome }: Read, story: readonly Step[]): boolean {
  const last = story.at(-1);
  return !last || outcome.kind === "unknown" || isShown(last.state, action.categories, outcome);
}

/** There was such a state, and it was not brought about by a write that had not even been called. */
function hasBeen({ action, outcome, answeredMs }: Read, story: readonly Step[]): boolean {
  if (outcome.kind !== "seen") return true;
  const step = story[outcome.revision];
  if (!step || !isShown(step.state, action.categories, outcome)) return false;
  return answeredMs === null || (step.operation?.calledMs ?? 0) <= answeredMs;
}

function floorOf(read: Read, operations: readonly Operation[]): number {
  const isEarlier = ({ answeredMs, client, life, action }: Operation) =>
    client === read.client &&
    answeredMs !== null &&
    answeredMs <= read.calledMs &&
    (life === read.life || (action.kind === "change" && read.action.consistency === "session"));
  const revisions = operations.filter(isEarlier).flatMap(({ action, outcome }) => {
    // An `edge` read promises nothing but what was written through the same process.
    if (action.kind === "read" && read.action.consistency === "edge") return [];
    return "revision" in outcome ? (outcome.revision ?? []) : [];
  });
  return Math.max(0, ...revisions);
}

/** Nothing was found: that is old when, from the floor on, something was there all the time. */
function isOlder({ action, outcome }: Read, floor: number, story: readonly Step[]): boolean {
  if (outcome.kind === "seen") return outcome.revision < floor;
  if (outcome.kind !== "nothing") return false;
  return !story
    .slice(floor)
    .some(({ state }) => action.categories.every((name) => !state.categories.has(name)));
}

function changedBirths(entity: string, reads: readonly Read[], story: readonly Step[]): Finding[] {
  const births = new Map<string, string>();
  return reads.flatMap(({ outcome }) => {
    if (outcome.kind !== "seen") return [];
    return Object.entries(outcome.present).flatMap(([name, { createdAt }]): Finding[] => {
      const life = `${name} since revision ${story[outcome.revision]?.state.categories.get(name)?.born}`;
      const known = births.get(life) ?? createdAt;
      births.set(life, known);
      if (known === createdAt) return [];
      return [{ rule: "created_at", entity, detail: `${life}: ${known}, then ${createdAt}` }];
    });
  });
}
