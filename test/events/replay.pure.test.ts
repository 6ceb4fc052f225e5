import { expect, test } from "vitest";
import { cutToEntities, type HistoryKey, type HistoryRange, startOf } from "../../worker/events/replay.ts";
import { REPLAY_ROWS_PER_STEP } from "../../worker/limits.ts";

const RANGE: HistoryRange = { from: 100, to: 200, entityType: null, entityId: null, category: null };

const key = (entity: string, over: Partial<HistoryKey> = {}): HistoryKey => ({
  entity_type: "bright_uid",
  entity_value: entity,
  category: "c",
  event_time: 1,
  revision: 1,
  ingested_at: 150,
  event_id: "id",
  bytes: 10,
  ...over,
});

test("an entity's events come in revision order, whatever the order of their categories and event times", () => {
  const rows = [
    key("a", { category: "c", revision: 3 }),
    key("a", { category: "c", event_time: 2, revision: 1 }),
    key("a", { category: "d", revision: 2 }),
  ];
  const { keys, next } = cutToEntities(rows, RANGE);
  expect(keys.map(({ revision }) => revision)).toEqual([1, 2, 3]);
  expect(next).toBeNull();
});

test("only what was announced in the range, and is asked for, is told again", () => {
  const rows = [
    key("a", { ingested_at: 99 }),
    key("a", { ingested_at: 100, revision: 2 }),
    key("a", { ingested_at: 200, revision: 3 }),
    key("a", { ingested_at: 201, revision: 4 }),
    key("a", { event_id: null, revision: 5 }),
    key("a", { category: "d", revision: 6 }),
  ];
  const told = (range: HistoryRange) => cutToEntities(rows, range).keys.map(({ revision }) => revision);
  expect(told(RANGE)).toEqual([2, 3, 6]);
  expect(told({ ...RANGE, category: "d" })).toEqual([6]);
});

test("an entity that a step has cut is left whole to the next one", () => {
  const rows = Array.from({ length: REPLAY_ROWS_PER_STEP }, (_, i) =>
    key(i < 1_999 ? "a" : "b", { revision: i }),
  );
  const { keys, next } = cutToEntities(rows, RANGE);
  expect(keys).toHaveLength(1_999);
  expect(next).toEqual({ kind: "after", entityType: "bright_uid", entityValue: "a" });
});

test("an entity larger than a step is read by itself", () => {
  const rows = Array.from({ length: REPLAY_ROWS_PER_STEP }, (_, i) => key("a", { revision: i }));
  expect(cutToEntities(rows, RANGE)).toEqual({
    keys: [],
    next: { kind: "within", entityType: "bright_uid", entityValue: "a", revision: 0, category: "" },
  });
});

test("with an entity type the walk ends behind it", () => {
  const range = { ...RANGE, entityType: "bright_uid" };
  const own = Array.from({ length: REPLAY_ROWS_PER_STEP - 1 }, (_, i) => key("a", { revision: i }));
  const { keys, next } = cutToEntities([...own, key("a", { entity_type: "user" })], range);
  expect(keys).toHaveLength(own.length);
  expect(next).toBeNull();
  expect(startOf(range)).toEqual({ kind: "after", entityType: "bright_uid", entityValue: "" });
  expect(startOf({ ...range, entityId: "a" })).toMatchObject({
    kind: "within",
    entityValue: "a",
    revision: 0,
  });
});
