/** Vectors in which the clock has a part are of the time of their computation: no later one rewrites the past. */
import { describe, expect, test } from "vitest";
import { MICROS_PER_MS, parseTimestamp } from "../../worker/timestamps.ts";
import { post } from "../setup/http.ts";
import { sleep } from "../setup/waiting.ts";
import {
  caughtUp,
  compute,
  eventTime,
  freshName,
  ingest,
  newFeature,
  newTable,
  row,
  streaming,
  vector,
  vectorOf,
} from "./tables.ts";

/** Milliseconds since the newest row. */
const AGE = `SELECT user_id, (julianday('now') - julianday(max(at))) * 86400000 AS age, count(*) AS n
  FROM data GROUP BY user_id`;
/** The same, but that no clock is read. */
const SPAN = "SELECT user_id, julianday(max(at)) - julianday(min(at)) AS span FROM data GROUP BY user_id";

const now = () => new Date().toISOString();

/** What training data has of an entity at these times. */
async function trained(entity: string, feature: string, times: readonly string[]) {
  const rows = times.map((timestamp) => ({ entity_id: entity, timestamp }));
  const answer = await post<{ rows: { features: Record<string, { value: unknown }> }[] }>("/features/batch", {
    rows,
    feature_names: [feature],
  });
  expect(answer.status, answer.text).toBe(200);
  return answer.body.rows.map(({ features }) => features[feature]?.value);
}

const millisOf = async (entity: string, feature: string) => {
  const micros = parseTimestamp((await vector(entity, feature)).body.event_timestamp);
  return micros === null ? Number.NaN : micros / MICROS_PER_MS;
};

describe("a vector that the clock has a part in", () => {
  test.each([["manual"], ["on_ingest"]])("is of the time of its computation: %s", async (materialize) => {
    const table = await newTable();
    const make = materialize === "manual" ? newFeature : streaming;
    const { name } = await make(table, { computation_logic: AGE });
    const entity = freshName("e");
    const begun = now();
    await ingest(table, [row(entity, 1, 1), row(entity, 2, 5)]);
    await caughtUp(table);
    if (materialize === "manual") expect((await compute(name)).status).toBe(200);
    const first = await vectorOf(entity, name);
    expect(await millisOf(entity, name)).toBeGreaterThanOrEqual(Date.parse(begun));
    await sleep(20);
    const label = now();
    await sleep(20);
    expect((await compute(name)).status).toBe(200);
    const second = await vectorOf(entity, name);
    expect(Number(second?.age)).toBeGreaterThanOrEqual(Number(first?.age) + 30);
    await sleep(2);
    const times = [eventTime(5), begun, label, now()];
    expect(await trained(entity, name, times)).toEqual([null, null, first, second]);
    // Its time is not before the clock that it has read.
    const read = Date.parse(eventTime(5)) + Number(second?.age);
    expect(await millisOf(entity, name)).toBeGreaterThanOrEqual(Math.floor(read));
  });

  test("is so of rows in a body too", async () => {
    const table = await newTable();
    const { name } = await newFeature(table, { computation_logic: AGE });
    const entity = freshName("e");
    const begun = Date.now();
    expect((await compute(name, [row(entity, 1, 1)])).status).toBe(200);
    expect(await millisOf(entity, name)).toBeGreaterThanOrEqual(begun);
  });

  test("is of the newest time of its rows where it has none", async () => {
    const table = await newTable();
    const { name } = await newFeature(table, { computation_logic: SPAN });
    const entity = freshName("e");
    await ingest(table, [row(entity, 1, 1), row(entity, 2, 5)]);
    await compute(name);
    await compute(name);
    expect((await vector(entity, name)).body.event_timestamp).toBe(eventTime(5));
    const [early, late] = await trained(entity, name, [eventTime(4), eventTime(5)]);
    expect([early, late]).toEqual([null, await vectorOf(entity, name)]);
  });
});
