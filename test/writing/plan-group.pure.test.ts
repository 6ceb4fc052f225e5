import { describe, expect, test } from "vitest";
import { entityKey } from "../../worker/keys.ts";
import { type EntityState, NEVER_WRITTEN } from "../../worker/writing/apply-write.ts";
import type { CategoryWrite, EntityDelete, EntityWrite } from "../../worker/writing/entity-write.ts";
import { intendedEntity } from "../../worker/writing/intent.ts";
import { type GroupPlan, planGroup } from "../../worker/writing/plan-group.ts";

const refOf = (entityValue: string) => ({ entityType: "bright_uid", entityValue });
const keyOf = (entityValue: string) => entityKey(refOf(entityValue));

function write(
  entityValue: string,
  data: string,
  options: Partial<CategoryWrite & EntityWrite> = {},
): EntityWrite {
  const { ifRevision = null, category = "c", mode = "replace", eventTime = null } = options;
  const names = Object.keys(JSON.parse(data));
  const part: CategoryWrite = { category, mode, eventTime, computeId: null, ttlSeconds: null, data, names };
  return { kind: "write", ...refOf(entityValue), source: null, ifRevision, categories: [part] };
}

const remove = (entityValue: string, category: string | null = null): EntityDelete => ({
  kind: "delete",
  ...refOf(entityValue),
  category,
  datedNow: false,
});

/** Plans with a clock that starts after `now` and event ids that count. */
function plan(
  changes: (EntityWrite | EntityDelete)[],
  states = new Map<string, EntityState>(),
  now = 1_000,
): GroupPlan {
  let time = now;
  let id = 0;
  const tick = (after: number) => Math.max(++time, after + 1);
  const newEventId = () => `event-${++id}`;
  return planGroup(changes, { states, tick, newEventId });
}

/** What planning these writes leaves. */
function stateAfter(...writes: EntityWrite[]): EntityState {
  return [...plan(writes, undefined, 500).entities.values()][0]?.next ?? NEVER_WRITTEN;
}

test("a write without an event time is not late because the writer before had a clock that was ahead", () => {
  const ahead = stateAfter(write("u", '{"a":1}', { eventTime: null }));
  const rows = new Map(
    [...ahead.rows].map(([name, row]) => [
      name,
      { ...row, updatedAt: 9_000, eventTime: 9_000, floor: 9_000 },
    ]),
  );
  const states = new Map([[keyOf("u"), { ...ahead, rows }]]);
  const { results, entities } = plan(
    [write("u", '{"a":2}', { eventTime: null }), write("v", '{"a":2}', { eventTime: null })],
    states,
  );
  expect(results.map(({ outcome }) => outcome)).toEqual(["applied", "applied"]);
  expect(entities.get(keyOf("u"))?.next.rows.get("c")).toMatchObject({ data: '{"a":2}', eventTime: 9_001 });
  // Other entities keep this writer's time.
  expect(entities.get(keyOf("v"))?.next.rows.get("c")?.eventTime).toBeLessThan(1_100);
});

describe("changes of one entity in a group", () => {
  const existing = new Map([[keyOf("u"), stateAfter(write("u", '{"a":1}'), write("u", '{"a":2}'))]]);
  const group = plan(
    [
      write("u", '{"b":3}', { mode: "merge", eventTime: 3_000 }),
      write("v", '{"x":1}'),
      write("u", '{"c":4}', { mode: "merge", eventTime: 3_001 }),
      write("u", '{"d":5}', { category: "other", eventTime: 3_002 }),
    ],
    existing,
  );
  const planned = group.entities.get(keyOf("u"));

  test("build on each other in the order in which they came", () => {
    expect(planned?.next.rows.get("c")?.data).toBe('{"a":2,"b":3,"c":4}');
    expect(group.results.map(({ outcome, revision }) => [outcome, revision])).toEqual([
      ["applied", 3],
      ["applied", 1],
      ["applied", 4],
      ["applied", 5],
    ]);
  });

  test("rest on the revision that the first of them found", () => {
    expect(planned?.base).toBe(2);
    expect(group.entities.get(keyOf("v"))?.base).toBe(0);
  });

  test("write each category where it ends, once, with the history row that it came from", () => {
    const rows = [...(planned?.rows ?? [])].map(([category, { row, proof }]) => ({
      category,
      isWhereItEnds: row === planned?.next.rows.get(category),
      revision: row.revision,
      proof: [proof?.category, proof?.revision, proof?.eventId],
      sameTime: proof?.ingestedAt === row.updatedAt,
    }));
    expect(rows).toEqual([
      { category: "c", isWhereItEnds: true, revision: 4, proof: ["c", 4, "event-3"], sameTime: true },
      { category: "other", isWhereItEnds: true, revision: 5, proof: ["other", 5, "event-4"], sameTime: true },
    ]);
  });

  test("are all in the history, in revision order, each with its own event and time of arrival", () => {
    const history = planned?.history.map(({ revision, eventId, ingestedAt, data }) => [
      revision,
      eventId,
      ingestedAt,
      data,
    ]);
    expect(history).toEqual([
      [3, "event-1", 1_001, '{"b":3}'],
      [4, "event-3", 1_003, '{"c":4}'],
      [5, "event-4", 1_004, '{"d":5}'],
    ]);
  });

  test("leave the other entities and the states that they were given alone", () => {
    expect([...group.entities.keys()]).toEqual([keyOf("u"), keyOf("v")]);
    expect(group.entities.get(keyOf("v"))?.history).toHaveLength(1);
    expect(existing.get(keyOf("u"))?.revision).toBe(2);
  });
});

describe("a group", () => {
  test("has a result for each change, in order, whatever becomes of it", () => {
    const { results } = plan([
      write("u", '{"a":1}', { eventTime: 10 }),
      write("u", '{"a":1}', { eventTime: 10 }),
      write("v", '{"a":1}', { ifRevision: 7 }),
      write("u", '{"a":0}', { eventTime: 9 }),
      remove("nobody"),
      write("u", '{"a":2}', { eventTime: 11, ifRevision: 1 }),
    ]);
    expect(results).toEqual([
      { outcome: "applied", revision: 1, categories: ["c"] },
      { outcome: "duplicate", revision: 1 },
      {
        outcome: "rejected",
        revision: 0,
        rejection: { reason: "revision_mismatch", expected: 7, actual: 0 },
      },
      { outcome: "stale", revision: 1 },
      { outcome: "not_found", revision: 0 },
      { outcome: "applied", revision: 2, categories: ["c"] },
    ]);
  });

  test("is decided after all of its writes were taken", () => {
    const group = plan([write("u", '{"a":1}'), write("v", '{"a":1}')]);
    const times = [...group.entities.values()].flatMap(({ history }) => history.map((row) => row.ingestedAt));
    expect(group.decidedAt).toBeGreaterThan(Math.max(...times));
  });

  test("does nothing to an entity of which nothing is to be written", () => {
    const state = stateAfter(write("u", '{"a":1}', { eventTime: 10 }));
    const changes = [
      write("u", '{"a":1}', { eventTime: 10 }),
      write("v", '{"a":1}', { ifRevision: 7 }),
      remove("nobody"),
    ];
    expect(plan(changes, new Map([[keyOf("u"), state]])).entities.size).toBe(0);
  });

  test("gives an entity with only late writes history without rows, events or intent, and its old revision", () => {
    const state = stateAfter(write("u", '{"a":1}', { eventTime: 10 }));
    const group = plan([write("u", '{"a":0}', { eventTime: 9 })], new Map([[keyOf("u"), state]]));
    const planned = group.entities.get(keyOf("u"));
    expect(planned).toMatchObject({
      base: 1,
      next: state,
      history: [{ eventId: null, revision: 1, eventTime: 9 }],
    });
    expect(planned?.rows.size).toBe(0);
    expect(planned && intendedEntity(planned, [])).toBeNull();
  });

  test("proves a row by the write that changed it, not by a late one after it", () => {
    const group = plan([write("u", '{"a":1}', { eventTime: 10 }), write("u", '{"a":0}', { eventTime: 9 })]);
    const planned = group.entities.get(keyOf("u"));
    expect(planned?.rows.get("c")?.proof?.eventTime).toBe(10);
    expect(planned?.history.map(({ eventTime, eventId }) => [eventTime, eventId])).toEqual([
      [10, "event-1"],
      [9, null],
    ]);
  });
});

describe("a deletion", () => {
  const state = stateAfter(
    write("u", '{"a":1}', { eventTime: 10 }),
    write("u", '{"a":1}', { category: "other", eventTime: 10 }),
  );
  const states = new Map([[keyOf("u"), state]]);

  test.each([
    [null, "", ["c", "other"]],
    ["c", "c", ["c"]],
  ])("writes its tombstone alone and no history (category %s)", (category, tombstone, categories) => {
    const change = remove("u", category);
    const group = plan([change], states);
    const planned = group.entities.get(keyOf("u"));
    expect(group.results).toEqual([
      { outcome: "deleted", revision: 3, categories, history: 0, cached: false },
    ]);
    expect([...(planned?.rows.keys() ?? [])]).toEqual([tombstone]);
    expect(planned).toMatchObject({ base: 2, next: { revision: 3 }, history: [], deletion: change });
    expect(planned?.rows.get(tombstone)).toMatchObject({ proof: null, row: { data: null, revision: 3 } });
  });

  test("is proven by its tombstone", () => {
    const planned = plan([remove("u")], states).entities.get(keyOf("u"));
    const proof = { kind: "tombstone", category: "", revision: 3, updatedAt: 1_001 };
    expect(planned && intendedEntity(planned, [])).toEqual({ ref: refOf("u"), proof, remembered: [] });
  });
});
