/** That what is shown of SQL is true: on SQLite itself, over random rows. */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import fc from "fast-check";
import { expect, test } from "vitest";
import { checkSql } from "../../../worker/compute/sql/gate.ts";
import { isColumnOfData } from "../../../worker/compute/sql/origin.ts";
import { whatSeesOthers } from "../../../worker/compute/sql/own-rows.ts";
import { anySql } from "./any-sql.ts";

const COLUMNS = ["card", "amount", "ts", "kind"];
const CARDS = ["a", "b", "c"];
/** Rows of one entity alone, of two, of all. */
const SUBSETS = [["a"], ["b"], ["c"], ["a", "b"], ["a", "c"], ["b", "c"], CARDS];
const RUNS = 1_500;

type Row = readonly [card: string | null, amount: number | null, ts: string | null, kind: string | null];
const anyRow = fc.tuple(
  fc.constantFrom("a", "a", "b", "b", "c", null),
  fc.constantFrom(0, 1, 2, 3, null),
  fc.constantFrom("1", "2", "3", null),
  fc.constantFrom("p", "a", null),
);
const anyRows = fc.array(anyRow, { minLength: 3, maxLength: 7 });

const db = new DatabaseSync(":memory:");
db.exec("CREATE TABLE data (card TEXT, amount INTEGER, ts TEXT, kind TEXT)");
const insert = db.prepare("INSERT INTO data VALUES (?, ?, ?, ?)");

/** What the SQL makes of rows, by entity; null where it fails. */
function byCard(sql: string, rows: readonly Row[]): Map<unknown, string[]> | null {
  db.exec("DELETE FROM data");
  for (const row of rows) insert.run(...(row as readonly SQLInputValue[]));
  const made = new Map<unknown, string[]>();
  let results: Record<string, unknown>[];
  try {
    results = db.prepare(sql).all();
  } catch {
    return null;
  }
  for (const { card, ...cells } of results) {
    if (card !== null) made.set(card, [...(made.get(card) ?? []), JSON.stringify(cells)].toSorted());
  }
  return made;
}

/** Whether each entity has of some entities' rows what it has of all rows. */
function isOfOwnRows(sql: string, rows: readonly Row[]): boolean | null {
  const ofAll = byCard(sql, rows);
  if (!ofAll) return null;
  return SUBSETS.every((cards) => {
    const some = byCard(
      sql,
      rows.filter(([card]) => card !== null && cards.includes(card)),
    );
    const expected = [...ofAll].filter(([card]) => cards.includes(String(card)));
    return some !== null && JSON.stringify([...some].toSorted()) === JSON.stringify(expected.toSorted());
  });
}

function isShown(sql: string): boolean {
  const checked = checkSql(sql);
  if (!checked.ok) return false;
  return (
    isColumnOfData(checked.shape, "card", COLUMNS) && whatSeesOthers(checked.shape, "card", COLUMNS) === null
  );
}

test("whatever is shown to be of an entity's own rows is, over any rows", () => {
  const seen = { shown: 0, joins: 0, windows: 0, subqueries: 0, refused: 0, rightly: 0 };
  fc.assert(
    fc.property(anySql, anyRows, (sql, rows) => {
      const isTrue = isOfOwnRows(sql, rows);
      if (isTrue === null) return;
      if (!isShown(sql)) {
        seen.refused += 1;
        if (!isTrue) seen.rightly += 1;
        return;
      }
      seen.shown += 1;
      if (/ JOIN /.test(sql)) seen.joins += 1;
      if (/ OVER /.test(sql)) seen.windows += 1;
      if (/EXISTS|\(SELECT (?:MAX|SUM|COUNT)/.test(sql)) seen.subqueries += 1;
      expect(isTrue, sql).toBe(true);
    }),
    { numRuns: RUNS },
  );
  // None of them is empty.
  expect(seen.shown).toBeGreaterThan(RUNS / 5);
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(RUNS / 50);
});
