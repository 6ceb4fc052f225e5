/** Late rows of one entity at one event time: which of them the history gets, and what they cost where many are there. */
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { WriteMode } from "../../worker/writing/entity-write.ts";
import { watched } from "../setup/faults.ts";
import { inWriterObject, newTenant, user, write } from "../setup/writer.ts";

const NEWER = { eventTime: 2_000_000 };
const LATE = 1_000_000;

interface LateRow {
  values: Record<string, number>;
  mode: WriteMode;
}

const lateWrite = ({ values, mode }: LateRow) =>
  write(user.entityValue, { a: values }, { eventTime: LATE, mode });

/** Rows that came one after another, before all that a test writes. */
async function putThere(tenant: string, rows: readonly LateRow[]): Promise<void> {
  const cells = rows.map(({ values, mode }) => [JSON.stringify(values), mode]);
  await env.DB.prepare(
    `INSERT INTO feature_history
       (tenant_id, entity_type, entity_value, category, event_time, revision, data, mode, ingested_at)
     SELECT ?1, ?2, ?3, 'a', ?4, 1, value ->> 0, value ->> 1, key + 1 FROM json_each(?5)`,
  )
    .bind(tenant, user.entityType, user.entityValue, LATE, JSON.stringify(cells))
    .run();
}

async function lateRows(tenant: string): Promise<LateRow[]> {
  const { results } = await env.DB.prepare(
    "SELECT data, mode FROM feature_history WHERE tenant_id = ? AND event_time = ? ORDER BY revision, ingested_at",
  )
    .bind(tenant, LATE)
    .all<{ data: string; mode: WriteMode }>();
  return results.map(({ data, mode }) => ({ values: JSON.parse(data), mode }));
}

/** Where the entity has a newer row, and these late ones. */
async function afterWriting(
  there: readonly LateRow[],
  writes: readonly LateRow[],
  tenant = newTenant(),
): Promise<LateRow[]> {
  return inWriterObject(async ({ start }) => {
    const writer = start(watched().env);
    const names = ["n", ...new Set([...there, ...writes].flatMap(({ values }) => Object.keys(values)))];
    const newer = Object.fromEntries(names.map((name) => [name, 0]));
    await writer.submit(write(user.entityValue, { a: newer }, NEWER));
    await putThere(tenant, there);
    for (const row of writes) await writer.submit(lateWrite(row));
    return lateRows(tenant);
  }, tenant);
}

const speakOfTheSame = (a: LateRow, b: LateRow) =>
  a.mode === "replace" || b.mode === "replace" || Object.keys(a.values).some((name) => name in b.values);

/** A row is added unless it is there, and nothing that came later speaks of the same. */
function expectedRows(writes: readonly LateRow[]): LateRow[] {
  const rows: LateRow[] = [];
  for (const row of writes) {
    const isThere = rows.some(
      (other, position) =>
        JSON.stringify(other) === JSON.stringify(row) &&
        !rows.slice(position + 1).some((later) => speakOfTheSame(other, later)),
    );
    if (!isThere) rows.push(row);
  }
  return rows;
}

test("a late row is added where it is not there, or something has overridden it since", async () => {
  const row = fc.record({
    values: fc.dictionary(fc.constantFrom("x", "y", "z"), fc.constantFrom(1, 2), { noNullPrototype: true }),
    mode: fc.constantFrom("merge" as const, "merge" as const, "replace" as const),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 2, maxLength: 10 }), async (writes) => {
      expect(await afterWriting([], writes)).toEqual(expectedRows(writes));
    }),
    { numRuns: 40 },
  );
});

describe("where many are there at one time", () => {
  const each = (count: number, valuesOf: (i: number) => Record<string, number>): LateRow[] =>
    Array.from({ length: count }, (_, i) => ({ values: valuesOf(i), mode: "merge" }));

  test("a further one costs no more, however they contradict each other", async () => {
    const tenant = newTenant();
    const there = each(20_000, (i) => ({ n: i % 2 }));
    const further = each(4, (i) => ({ n: i % 2 }));
    const startMs = performance.now();
    const rows = await afterWriting(there, further, tenant);
    // Milliseconds: were each compared with each, it would be a minute.
    expect(performance.now() - startMs).toBeLessThan(10_000);
    expect(rows).toHaveLength(there.length + further.length);
  });

  test("one that is there, and of which 199 others say nothing, is not added again", async () => {
    const there = each(200, (i) => ({ [`f${i}`]: 1 }));
    const [first] = there;
    if (!first) throw new Error("there are rows");
    expect(await afterWriting(there, [first])).toHaveLength(200);
    const more = [...there, ...each(1, () => ({ other: 1 }))];
    expect(await afterWriting(more, [first])).toEqual([...more, first]);
  });
});
