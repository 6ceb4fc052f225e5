/** Every statement of the hot paths, collected while they run, finds its rows by key. */
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { failAfter, isCommit, only, watched } from "../setup/faults.ts";
import { inWriterObject, ref, remove, write } from "../setup/writer.ts";

const TYPES = ["bright_uid", "account_id", "device"];

/** All that a writer and a reader send to D1: new, known, late and lost writes, deletions, and reads. */
async function statements(): Promise<string[]> {
  const bindings = watched();
  await inWriterObject(async ({ start }) => {
    const writer = start(bindings.env);
    for (const type of TYPES) {
      const lost = () => {
        bindings.faults = { database: only(isCommit, failAfter, 1) };
      };
      await writer.submit(write("user-1", { a: { n: 1 }, b: { n: 1 } }, { type, eventTime: 2_000_000 }));
      await writer.submit(write("user-1", { a: { n: 0 } }, { type, eventTime: 1_000_000 }));
      lost();
      await writer.submit(write("user-1", { a: { n: 2 } }, { type }));
      await writer.fill(ref("user-1", type));
      await writer.submit({ ...remove("user-1", "a"), entityType: type });
      lost();
      await writer.submit({ ...remove("user-1"), entityType: type });
    }
    await start(bindings.env).fill(...TYPES.map((type) => ref("user-1", type)));
  });
  return [...new Set(bindings.database.flatMap(({ sql }) => sql))];
}

test("every statement of reading, writing and recovery searches stored tables by their key, and scans none", async () => {
  const all = await statements();
  // For each table: read, history, upsert, confirm, two deletions, tombstone proof; and the history's own proof.
  expect(all.length).toBeGreaterThanOrEqual(TYPES.length * 5 + 1);
  for (const sql of all) {
    const parameters = Math.max(...[...sql.matchAll(/\?(\d+)/g)].map(([, number]) => Number(number)));
    const { results } = await env.DB.prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .bind(...Array(parameters).fill(null))
      .all<{ detail: string }>();
    const steps = results.map(({ detail }) => detail);
    const searches = steps.filter((step) => step.startsWith("SEARCH"));
    expect(searches.length, sql).toBeGreaterThan(0);
    for (const step of searches)
      expect(step, sql).toMatch(/USING (?:COVERING )?INDEX sqlite_autoindex_\w+_1 \(tenant_id=\? AND \w+=\?/);
    for (const step of steps.filter((other) => other.startsWith("SCAN"))) {
      // The rows of a JSON parameter, of which there are as many as were sent, the subquery that names their cells, or a
      // bounded number of rows that a search has found.
      expect(step, sql).toMatch(/^SCAN ((ref|json_each) VIRTUAL TABLE|\(subquery-\d+\)$|(ref|written)$)/);
    }
  }
});
