/**
 * The history of values holds what was written, each category of each applied write once, and nothing of what was
 * deleted since.
 */
import type { Stories } from "./check.ts";
import { expectedOf, keyOf } from "./check-announcements.ts";
import type { Finding, History, Rule } from "./history.ts";

export function checkKept(history: History, stories: Stories): Finding[] {
  const { kept } = history;
  if (!kept) return [];
  const gone = deletedKeys(stories);
  const expected = expectedOf(history, stories).filter(({ key }) => !gone.has(key));
  const entities = new Set([...stories.keys(), ...expected.map(({ entity }) => entity)]);
  const rows = kept.filter(({ entity }) => entities.has(entity));
  const found = Map.groupBy(rows, keyOf);
  const wanted = new Map(expected.map((one) => [one.key, one]));
  const isSame = (computeId: string | null, key: string) => {
    const { computeId: own } = wanted.get(key) ?? {};
    return own === undefined || own === computeId;
  };
  const finding = (rule: Rule, entity: string, detail: string): Finding => ({ rule, entity, detail });
  return [
    ...expected
      .filter(({ key }) => !found.get(key)?.every(({ computeId }) => isSame(computeId, key)))
      .map(({ entity, key }) => finding("history lost", entity, key)),
    ...[...found].flatMap(([key, [row, ...more]]) => {
      if (!row) return [];
      if (!wanted.has(key)) return [finding("history left", row.entity, JSON.stringify(row))];
      return more.length > 0 ? [finding("history doubled", row.entity, key)] : [];
    }),
  ];
}

/** What a later deletion of the category, or of the entity, has removed. */
function deletedKeys(stories: Stories): Set<string> {
  const keys = [...stories].flatMap(([entity, story]) => {
    const written: { category: string; revision: number }[] = [];
    return story.flatMap(({ operation, changed, state: { revision } }) => {
      if (operation?.action.kind !== "change") return [];
      const { change } = operation.action;
      if (change.kind === "write") {
        written.push(...changed.map((category) => ({ category, revision })));
        return [];
      }
      return written
        .filter(({ category }) => change.category === null || change.category === category)
        .map((one) => keyOf({ entity, ...one }));
    });
  });
  return new Set(keys);
}
