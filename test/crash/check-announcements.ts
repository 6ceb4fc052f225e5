/**
 * Events, and their deliveries to a subscription: each category of each applied write at least once, always with the
 * same `event_id`, nothing that was not applied, and an entity's first ones in the order of its revisions.
 */
import type { Stories } from "./check.ts";
import type { Announcement, Finding, History, Rule } from "./history.ts";

export interface Expected {
  key: string;
  entity: string;
  /** Undefined: of a computation, which names its own. */
  computeId: string | null | undefined;
}

export function checkAnnouncements(history: History, stories: Stories): Finding[] {
  const expected = new Map(expectedOf(history, stories).map((one) => [one.key, one]));
  const told = new Set([...stories.keys(), ...[...expected.values()].map(({ entity }) => entity)]);
  const unclear = new Set(history.operations.flatMap(({ entity }) => (told.has(entity) ? [] : entity)));
  const check = (kind: "event" | "delivery", seen: readonly Announcement[]) =>
    checkSeen(
      kind,
      seen.filter(({ entity }) => !unclear.has(entity)),
      expected,
    );
  const identities = sameIdentity([...(history.events ?? []), ...(history.deliveries ?? [])]);
  return [
    ...(history.events ? check("event", history.events) : []),
    ...(history.deliveries ? check("delivery", history.deliveries) : []),
    ...identities,
  ];
}

/** All that was written. */
export function expectedOf(history: History, stories: Stories): Expected[] {
  return [...expectedOfWrites(stories), ...expectedOfVectors(history)];
}

export const keyOf = ({
  entity,
  revision,
  category,
}: Pick<Announcement, "entity" | "revision" | "category">) => `${entity} ${revision} ${category}`;

function expectedOfWrites(stories: Stories): Expected[] {
  return [...stories].flatMap(([entity, story]) =>
    story.flatMap(({ operation, changed, state: { revision } }) => {
      if (operation?.action.kind !== "change" || operation.action.change.kind !== "write") return [];
      const computeId = operation.action.change.id;
      return changed.map((category) => ({ key: keyOf({ entity, revision, category }), entity, computeId }));
    }),
  );
}

/** A vector is replaced again and again: each of its entity's revisions is a write of it. */
function expectedOfVectors({ tables }: History): Expected[] {
  return tables.flatMap(({ end }) =>
    end.computed.flatMap(({ entity, category, revision: last }) =>
      Array.from({ length: last }, (_, i) => {
        return { key: keyOf({ entity, revision: i + 1, category }), entity, computeId: undefined };
      }),
    ),
  );
}

function checkSeen(
  kind: "event" | "delivery",
  seen: readonly Announcement[],
  expected: ReadonlyMap<string, Expected>,
): Finding[] {
  const found = new Set(seen.map(keyOf));
  const lost = [...expected.values()].filter(({ key }) => !found.has(key));
  const ofNothing = seen.filter((one) => {
    const { computeId } = expected.get(keyOf(one)) ?? { computeId: "nothing" };
    return computeId !== undefined && computeId !== one.computeId;
  });
  const finding = (what: "lost" | "of nothing" | "order", entity: string, detail: string): Finding => ({
    rule: `${kind} ${what}` satisfies Rule,
    entity,
    detail,
  });
  return [
    ...lost.map(({ entity, key }) => finding("lost", entity, key)),
    ...ofNothing.map((one) => finding("of nothing", one.entity, JSON.stringify(one))),
    ...firstInOrder(seen).map(({ entity, detail }) => finding("order", entity, detail)),
  ];
}

function firstInOrder(seen: readonly Announcement[]): { entity: string; detail: string }[] {
  const known = new Set<string>();
  const reached = new Map<string, number>();
  return seen.flatMap((one) => {
    const { entity, revision } = one;
    const key = keyOf(one);
    if (known.has(key)) return [];
    known.add(key);
    const highest = reached.get(entity) ?? 0;
    reached.set(entity, Math.max(highest, revision));
    return revision < highest ? [{ entity, detail: `${key} after revision ${highest}` }] : [];
  });
}

function sameIdentity(seen: readonly Announcement[]): Finding[] {
  const idOf = new Map<string, string>();
  const keyOfId = new Map<string, string>();
  return seen.flatMap((one): Finding[] => {
    const key = keyOf(one);
    const id = idOf.get(key) ?? one.eventId;
    const other = keyOfId.get(one.eventId) ?? key;
    idOf.set(key, id);
    keyOfId.set(one.eventId, other);
    if (id === one.eventId && other === key) return [];
    const detail = `${one.eventId} is of ${key}, and ${id} of ${other}`;
    return [{ rule: "event identity", entity: one.entity, detail }];
  });
}
