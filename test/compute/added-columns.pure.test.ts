import { expect, test } from "vitest";
import { addedColumns } from "../../worker/compute/added-columns.ts";
import { type Columns, checkRows } from "../../worker/compute/raw-columns.ts";
import { Problem } from "../../worker/errors.ts";
import { MAX_RAW_COLUMNS } from "../../worker/limits.ts";

const REGISTERED: Columns = [
  ["user_id", "string"],
  ["Amount", "float"],
  ["coupon", "string", "optional"],
];
const many = (count: number, from = 0): Columns =>
  Array.from({ length: count }, (_, i) => [`c${from + i}`, "float"]);

/** What is added, or the faults and what is said. */
function decided(asked: Columns, registered = REGISTERED, ofRows: Columns = []) {
  try {
    return addedColumns({ registered, ofRows }, asked);
  } catch (thrown) {
    if (!(thrown instanceof Problem)) throw thrown;
    const places = thrown.extras.errors?.map(({ loc }) => loc.join(".")) ?? [];
    return [thrown.status, ...places, thrown.message];
  }
}

test.each<[string, Columns, unknown]>([
  ["new", [["shop", "json"]], [["shop", "json", "optional"]]],
  ["there", [["user_id", "string"]], []],
  ["added before", [["coupon", "string"]], []],
  [
    "there and new",
    [
      ["user_id", "string"],
      ["b", "float"],
      ["a", "float"],
    ],
    [
      ["b", "float", "optional"],
      ["a", "float", "optional"],
    ],
  ],
  [
    "of other types",
    [
      ["new", "string"],
      ["user_id", "integer"],
      ["coupon", "json"],
    ],
    [
      409,
      "body.columns.1.type",
      "body.columns.2.type",
      "the table has a column `user_id` of type string, not integer; nothing was added",
    ],
  ],
  [
    "called otherwise but for case",
    [["amount", "float"]],
    [
      409,
      "body.columns.0.name",
      "the table has a column `Amount`, which differs only in case; nothing was added",
    ],
  ],
])("a column that is %s", (_, asked, expected) => {
  expect(decided(asked)).toEqual(expected);
});

test.each<[string, Columns, unknown]>([
  ["of the type that rows have", [["lost", "timestamp"]], [["lost", "timestamp", "optional"]]],
  [
    "of another type",
    [["lost", "string"]],
    [
      409,
      "body.columns.0.type",
      "the table has a column `lost` of type timestamp, not string; nothing was added",
    ],
  ],
])("a column that rows have though it is not registered any more is added %s", (_, asked, expected) => {
  expect(decided(asked, REGISTERED, [["lost", "timestamp"]])).toEqual(expected);
});

test("a table has no more columns than one may be made with, those of its rows among them", () => {
  const most = many(MAX_RAW_COLUMNS);
  expect(decided(many(1, 90), many(MAX_RAW_COLUMNS - 1))).toHaveLength(1);
  expect(decided(most, most)).toEqual([]);
  const tooMany = [409, expect.stringContaining(`may have ${MAX_RAW_COLUMNS} columns: this one has 90`)];
  expect(decided(many(1, 90), most)).toEqual(tooMany);
  expect(decided(many(1, 90), many(40), most)).toEqual(tooMany);
});

test("only a column that was added may be left out of a row, and then it is null", () => {
  const schema = { columns: REGISTERED, timestampColumn: null };
  expect(checkRows(schema, [{ user_id: "u", Amount: 1 }], [])).toMatchObject({
    ok: true,
    rows: [["u", 1, null]],
  });
  const checked = checkRows(schema, [{ user_id: "u", coupon: 1 }], []);
  expect(checked).toMatchObject({
    ok: false,
    faults: [{ msg: "expected float, found nothing" }, { msg: "expected string, found number" }],
  });
});
