import { describe, expect, test } from "vitest";
import { committedKeys } from "../../worker/writing/committed-keys.ts";

const resultOf = (rows: Record<string, string>[]) => ({ results: rows }) as unknown as D1Result;

/** Of each entity so many rows are to be written; of none, its revision is to be confirmed. */
const plansOf = (rows: Record<string, number>) =>
  new Map(
    Object.entries(rows).map(([key, count]) => [
      key,
      { rows: new Map(Array.from({ length: count }, (_, i) => [`c${i}`, {} as never])) },
    ]),
  );

const uid = (value: string) => ({ bright_uid: value });

describe("all entities of a plan were committed", () => {
  test("when as many rows are answered as were to be written, and one for each that gets none", () => {
    const plans = plansOf({ "bright_uid/u": 2, "bright_uid/v": 1, "user/w": 0 });
    const results = [
      resultOf([]),
      resultOf([{ entity_type: "user", entity_value: "w" }]),
      resultOf(["u", "u", "v"].map(uid)),
    ];
    expect([...committedKeys(plans, results)]).toEqual([...plans.keys()]);
  });

  test("not when one has moved on: then the rows name the others", () => {
    const plans = plansOf({ "bright_uid/u": 2, "bright_uid/v": 1, "bright_uid/w": 3, "user/w": 0 });
    const results = [resultOf([]), resultOf([]), resultOf(["u", "u", "w", "w", "w"].map(uid))];
    expect([...committedKeys(plans, results)]).toEqual(["bright_uid/u", "bright_uid/w"]);
    expect([...committedKeys(plans, [])]).toEqual([]);
  });
});

/** Of an entity that answers nothing, so that the rows are looked at. */
const MOVED_ON = plansOf({ "bright_uid/moved": 100 });

test("an entity is named by the column of its type, or by two columns, and is one however many rows name it", () => {
  const results = [
    resultOf([]),
    resultOf(["u", "u", "v", "u"].map(uid)),
    resultOf([{ account_id: "u" }, { account_id: "u" }]),
    resultOf([
      { entity_type: "user", entity_value: "u" },
      { entity_type: "shop", entity_value: "u" },
    ]),
  ];
  expect([...committedKeys(MOVED_ON, results)].sort()).toEqual([
    "account_id/u",
    "bright_uid/u",
    "bright_uid/v",
    "shop/u",
    "user/u",
  ]);
});

test("the first row of a result is never taken for the one before it", () => {
  const results = [resultOf([uid("u")]), resultOf([{ account_id: "u" }]), resultOf([uid("w")])];
  expect([...committedKeys(MOVED_ON, results)]).toEqual(["bright_uid/u", "account_id/u", "bright_uid/w"]);
});
