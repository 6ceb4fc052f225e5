/** That migrations keep what is in the tables: on SQLite itself, as D1 applies them. */
import { readdirSync, readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";

const files = readdirSync("migrations")
  .filter((name) => name.endsWith(".sql"))
  .toSorted();
const apply = (db: DatabaseSync, some: readonly string[]) => {
  for (const name of some) db.exec(readFileSync(`migrations/${name}`, "utf8"));
};

const ROWS = {
  bright_uid: `('t', 'b', 'c', '{"n":1}', NULL, 5, NULL, NULL, 1, 2, 3, 'job', 'prediction_service', NULL),
    ('t', 'a', 'c', NULL, NULL, 5, 5, 5, 1, 2, 3, NULL, NULL, NULL)`,
  account_id: `('t', 'a', 'd', '{"n":2}', '{"n":4}', 5, NULL, NULL, 1, 2, 3, NULL, NULL, 9)`,
  entities: `('t', 'card', 'a', 'd', '{"n":3}', NULL, 5, 4, NULL, 1, 2, 3, NULL, NULL, 9)`,
  feature_history: `('t', 'card', 'a', 'd', 5, 3, 'merge', '{"n":3}', 2, NULL, 9, 'e1'),
    ('t', 'card', 'a', 'd', 5, 2, 'replace', '{"n":2}', 2, 'job', NULL, NULL)`,
};

test("what was kept without row numbers is there with them, under the same keys", () => {
  const db = new DatabaseSync(":memory:");
  const at = files.findIndex((name) => name.startsWith("0014_"));
  apply(db, files.slice(0, at));
  for (const [table, rows] of Object.entries(ROWS)) db.exec(`INSERT INTO ${table} VALUES ${rows}`);
  const all = () =>
    Object.keys(ROWS).map((table) => db.prepare(`SELECT * FROM ${table} ORDER BY 1, 2, 3, 4, 5, 6`).all());
  const before = all();
  apply(db, files.slice(at));
  expect(all()).toEqual(before);
  for (const [table, rows] of Object.entries(ROWS))
    expect(() => db.exec(`INSERT INTO ${table} VALUES ${rows}`), table).toThrow("UNIQUE constraint failed");
  const without = db.prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND wr = 1").all();
  expect(without).toEqual([]);
});
