/** Where the SQL fails on some entities the others are computed. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { computeInParts } from "../../worker/compute/compute-in-parts.ts";
import type { ComputeReply } from "../../worker/compute/compute-request.ts";
import { MAX_FAILED_QUERIES, MAX_SQL_STEPS, MAX_TOUCHED_ENTITIES } from "../../worker/limits.ts";

/**
 * SQL that fails on these entities, and how often it has run.
 *
 * @param stepsOf Of a query over so many.
 */
function failingOn(bad: ReadonlySet<string>, stepsOf = (_: number) => 0) {
  const seen = { queries: 0 };
  const compute = async (entities: string[]): Promise<ComputeReply> => {
    seen.queries += 1;
    const entity = entities.find((each) => bad.has(each));
    const steps = stepsOf(entities.length);
    if (entity !== undefined) return { kind: "entity_twice", entity, rows: [0, 1], steps };
    const computed = entities.map((each, row) => ({ row, entity: each, data: "{}", timestamp: null }));
    return { kind: "computed", computed, seq: null, skipped: [], skippedCount: 0, steps };
  };
  return { compute, seen };
}

const names = (count: number) => Array.from({ length: count }, (_, i) => `e${i}`);

test("every entity is computed once, or is one on which the SQL fails", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }), async (isBad) => {
      const entities = names(isBad.length);
      const bad = entities.filter((_, i) => isBad[i]);
      const parts = await computeInParts(failingOn(new Set(bad)).compute, entities);
      if (bad.length === entities.length) {
        expect(parts).toMatchObject({ kind: "own fault", error: expect.stringContaining("two rows") });
      } else {
        if (parts.kind !== "computed") throw new Error(parts.error);
        expect(parts.failed).toEqual(bad);
        expect(parts.computed.map(({ entity }) => entity)).toEqual(entities.filter((_, i) => !isBad[i]));
        expect(parts.error === null).toBe(bad.length === 0);
      }
    }),
  );
});

test("where it fails on none it runs once", async () => {
  const { compute, seen } = failingOn(new Set());
  await computeInParts(compute, names(100));
  expect(seen.queries).toBe(1);
});

test("of as many entities as there may be it finds a few wherever they stand, and gives up on many", async () => {
  const entities = names(MAX_TOUCHED_ENTITIES);
  const some = new Set(entities.filter((_, i) => i % 700 === 350));
  expect(await computeInParts(failingOn(some).compute, entities)).toMatchObject({ failed: [...some] });
  const many = failingOn(new Set(entities));
  expect(await computeInParts(many.compute, entities)).toMatchObject({ kind: "own fault" });
  expect(many.seen.queries).toBe(MAX_FAILED_QUERIES);
});

test("after many it keeps what it has computed, and names all others", async () => {
  const entities = names(2_000);
  const bad = new Set(entities.filter((_, i) => i % 40 === 0));
  const { compute, seen } = failingOn(bad);
  const parts = await computeInParts(compute, entities);
  if (parts.kind !== "computed") throw new Error(parts.error);
  const computed = parts.computed.map(({ entity }) => entity);
  expect(computed.length).toBeGreaterThan(0);
  expect([...computed, ...parts.failed].sort()).toEqual(entities.toSorted());
  expect(computed.filter((entity) => bad.has(entity))).toEqual([]);
  expect(seen.queries).toBeLessThan(2 * MAX_FAILED_QUERIES);
});

test("of the heaviest queries it runs a few, which find one entity, and names all others", async () => {
  const entities = names(1_024);
  const linear = failingOn(new Set(["e700"]), (count) => (count / entities.length) * MAX_SQL_STEPS);
  expect(await computeInParts(linear.compute, entities)).toMatchObject({ failed: ["e700"] });
  const constant = failingOn(new Set(entities.slice(1)), () => MAX_SQL_STEPS);
  expect(await computeInParts(constant.compute, entities)).toMatchObject({ kind: "own fault" });
  expect(constant.seen.queries).toBe(4);
});
