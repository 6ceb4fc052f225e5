/** Whoever comes between two steps of a computation: each test stops one of the two where the other passes. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { ask } from "../setup/http.ts";
import { arrived, consume, gate, ingestUnannounced, withStubs } from "./racing.ts";
import { addVersion, freshName, newFeature, newTable, type Table, vectorOf } from "./tables.ts";

afterEach(() => vi.restoreAllMocks());

const streaming = (table: Table, body: Record<string, unknown> = {}) =>
  newFeature(table, { materialize: "on_ingest", ...body });

describe("the consumer", () => {
  test("that has read the registry before a version was activated leaves what the version owes", async () => {
    const table = await newTable();
    const { name, feature_id } = await streaming(table);
    await addVersion(name, { version: 2 });
    await ingestUnannounced(table, [{ feature_id }], [freshName("other")]);
    const { stop, open, reached } = gate();
    const slow = withStubs("RAW_TABLE", { keepFollowers: (real) => stop().then(real) });
    const earlier = consume([arrived(table)], slow);
    await reached;
    const body = { status: "active" };
    expect((await ask("PATCH", `/features/${name}/versions/2`, { body })).status).toBe(200);
    const entity = freshName("e");
    await ingestUnannounced(table, [{ feature_id, versions: [1, 2] }], [entity]);
    open();
    await earlier;
    await consume([arrived(table)]);
    expect(await vectorOf(entity, `${name}@1`)).toEqual({ total: 1, n: 1 });
    expect(await vectorOf(entity, `${name}@2`)).toEqual({ total: 1, n: 1 });
  });
});
