import { expect, test } from "vitest";
import { committedKeys } from "../../worker/writing/committed-keys.ts";

const resultOf = (rows: Record<string, string>[]) => ({ results: rows }) as unknown as D1Result;

test("an entity is named by the column of its type, or by two columns, and is one however many rows name it", () => {
  const results = [
    resultOf([]),
    resultOf([{ bright_uid: "u" }, { bright_uid: "u" }, { bright_uid: "v" }, { bright_uid: "u" }]),
    resultOf([{ account_id: "u" }, { account_id: "u" }]),
    resultOf([
      { entity_type: "user", entity_value: "u" },
      { entity_type: "shop", entity_value: "u" },
    ]),
  ];
  expect([...committedKeys(results)].sort()).toEqual([
    "account_id/u",
    "bright_uid/u",
    "bright_uid/v",
    "shop/u",
    "user/u",
  ]);
});

test("the first row of a result is never taken for the one before it", () => {
  const results = [
    resultOf([{ bright_uid: "u" }]),
    resultOf([{ account_id: "u" }]),
    resultOf([{ bright_uid: "w" }]),
  ];
  expect([...committedKeys(results)]).toEqual(["bright_uid/u", "account_id/u", "bright_uid/w"]);
});
