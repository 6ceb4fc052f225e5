import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { databaseBindings } from "../../scripts/database-bindings.ts";

const toml = readFileSync("wrangler.toml", "utf8");
const more = `${toml}
[[d1_databases]]
binding = "DB_1"
database_name = "one"

[[env.production.d1_databases]]
binding = "DB_1"
database_name = "one"

[[env.production.d1_databases]]
binding = "DB_2"
database_name = "two"
`;

test.each([
  [undefined, ["DB"], ["DB", "DB_1"]],
  ["", ["DB"], ["DB", "DB_1"]],
  ["staging", ["DB"], ["DB"]],
  ["production", ["DB"], ["DB", "DB_1", "DB_2"]],
])("the databases of environment %s are its own", (env, own, withMore) => {
  expect(databaseBindings(toml, env)).toEqual(own);
  expect(databaseBindings(more, env)).toEqual(withMore);
});

test("an environment without a database is named", () => {
  expect(() => databaseBindings(toml, "elsewhere")).toThrow("[[env.elsewhere.d1_databases]]");
});

test.each([
  'database_name = "one"\nbinding = "DB_1"',
  '# The second.\nbinding="DB_1" # of two',
  "\n  binding = 'DB_1'\n",
])("a database is found however its table is written: %j", (table) => {
  expect(databaseBindings(`${toml}\n[[ d1_databases ]] # more\n${table}\n`, undefined)).toEqual([
    "DB",
    "DB_1",
  ]);
});

test("a database without a binding is refused", () => {
  expect(() => databaseBindings(`${toml}\n[[d1_databases]]\ndatabase_name = "one"\n`, undefined)).toThrow(
    "without a binding",
  );
});
