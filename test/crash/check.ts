/** The checker: which promises a history breaks. Pure; what each rule says is in the file that it is imported from. */
import { checkAnnouncements } from "./check-announcements.ts";
import { checkKept } from "./check-kept.ts";
import { checkPlaces } from "./check-places.ts";
import { checkReads } from "./check-reads.ts";
import { checkMoves, checkRefusals } from "./check-refusals.ts";
import { checkTables } from "./check-tables.ts";
import type { Finding, History, Operation } from "./history.ts";
import { type Evidence, linearize, type Step, type Verdict } from "./linearize.ts";
import { mergeRepetitions } from "./repetitions.ts";

/** What became of an entity: its state at each revision, and who brought it about. */
export type Stories = ReadonlyMap<string, readonly Step[]>;

export function checkHistory(history: History): Finding[] {
  const stories = new Map<string, readonly Step[]>();
  const findings: Finding[] = [];
  const told = toldByEvents(history);
  for (const [entity, own] of operationsByEntity(history)) {
    const { operations, different } = mergeRepetitions(own);
    findings.push(...different);
    const verdict = explain(operations, told);
    if (verdict.kind === "fits") {
      stories.set(entity, verdict.story);
      findings.push(...checkReads(entity, own, verdict.story));
      continue;
    }
    const rule = verdict.kind === "impossible" ? "linearizable" : "undecided";
    const [first] = verdict.waiting;
    const last = verdict.story.length - 1;
    findings.push({ rule, entity, detail: `nothing fits after revision ${last}: ${JSON.stringify(first)}` });
  }
  // Whether the right things were announced and kept can be told of entities whose story is known.
  return [
    ...findings,
    ...checkAnnouncements(history, stories),
    ...checkKept(history, stories),
    ...history.tables.flatMap(checkTables),
    ...checkMoves(history),
    ...checkRefusals(history),
    ...checkPlaces(history),
  ];
}

/**
 * The best story: one that agrees with all that was seen; else one that agrees with the answers, so that it can be
 * told what disagrees with it.
 */
export function explain(operations: readonly Operation[], told: Told): Verdict {
  const [entity = ""] = operations.map((one) => one.entity);
  const { revisions } = told;
  const ordered = operations.filter(isOrdered);
  const witnesses = operations.filter(({ outcome }) => outcome.kind === "seen");
  const announced = told.announced && (told.announced.get(entity) ?? new Map());
  const exact = linearize(ordered, { revisions, witnesses, announced });
  return exact.kind === "fits" ? exact : linearize(ordered, { revisions, witnesses: [], announced: null });
}

export function operationsByEntity({ operations }: History): Map<string, Operation[]> {
  return Map.groupBy(operations, ({ entity }) => entity);
}

/** An `edge` or `session` read may be old: it is compared with the story, and takes no part in making it. */
export function isOrdered({ action }: Operation): boolean {
  return action.kind === "change" || action.consistency === "strong";
}

/** What events tell of requests that were not answered. */
export interface Told {
  /** At which revision they took effect, by id. */
  revisions: ReadonlyMap<string, number>;
  /** By entity; null when nobody looked. */
  announced: ReadonlyMap<string, NonNullable<Evidence["announced"]>> | null;
}

export function toldByEvents({ events, deliveries }: History): Told {
  const revisions = new Map<string, number>();
  const announced = new Map<string, Map<number, Map<string, string | null>>>();
  for (const { computeId, revision, entity, category } of [...(events ?? []), ...(deliveries ?? [])]) {
    if (computeId !== null && !revisions.has(computeId)) revisions.set(computeId, revision);
    const own = announced.get(entity) ?? new Map<number, Map<string, string | null>>();
    announced.set(entity, own);
    own.set(revision, (own.get(revision) ?? new Map()).set(category, computeId));
  }
  return { revisions, announced: events || deliveries ? announced : null };
}
