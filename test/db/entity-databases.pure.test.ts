import fc from "fast-check";
import { expect, test } from "vitest";
import { askEach, entityDatabase, entityDatabases } from "../../worker/db/entity-databases.ts";
import { databaseOf } from "../../worker/keys.ts";
import { MAX_ENTITY_DATABASES } from "../../worker/limits.ts";

const refOf = (entityValue: string) => ({ entityType: "user", entityValue });

test("answers come in the order of what was asked, from the database in which each entity is, asked once", async () => {
  const items = fc.array(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(items, fc.integer({ min: 1, max: 5 }), async (values, databases) => {
      const asked: number[] = [];
      const answers = await askEach(values, { databases, refOf }, async (database, some) => {
        asked.push(database);
        return some.map((value) => [database, value] as const);
      });
      expect(answers).toEqual(values.map((value) => [databaseOf(refOf(value), databases), value]));
      expect(new Set(asked).size).toBe(asked.length);
    }),
  );
});

test("the databases are those bound without a gap, at most as many as a token may name", () => {
  const bound = (...names: string[]) =>
    Object.fromEntries(names.map((name) => [name, name])) as unknown as Env;
  expect(entityDatabases(bound("DB"))).toEqual(["DB"]);
  expect(entityDatabases(bound("DB", "DB_2", "DB_1", "DB_4"))).toEqual(["DB", "DB_1", "DB_2"]);
  const many = Array.from({ length: 70 }, (_, i) => (i === 0 ? "DB" : `DB_${i}`));
  expect(entityDatabases(bound(...many))).toHaveLength(MAX_ENTITY_DATABASES);
  expect(() => entityDatabase(bound("DB"), 1)).toThrow("DB_1");
});
