/** How an isolate keeps its catalog: what it asks D1, and that no change escapes it. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { Log } from "../../worker/log.ts";
import { type Catalog, catalogOf, forgetCatalog } from "../../worker/registry/catalog.ts";
import { insertComputedFeature, insertVersion } from "../../worker/registry/insert-feature.ts";
import { type NewFeature, type NewVersion, setVersionStatus } from "../../worker/registry/registry-store.ts";
import { removeFeature } from "../../worker/registry/remove-feature.ts";
import { nowMicros } from "../../worker/timestamps.ts";
import { CATALOG_FRESH_MS, CATALOG_WHOLE_MS } from "../../worker/timings.ts";
import { watched } from "../setup/faults.ts";

/** An isolate that asks for the catalog of a tenant again and again, and what it asks D1 for that. */
function isolateOf(tenant: string) {
  const bindings = watched();
  const log = new Log("test", { level: "ERROR", readable: false });
  let nowMs = Date.now();
  return {
    asked: () => bindings.database.splice(0).map(({ kind, sql }) => ({ kind, sql })),
    /** As it is known once it has been renewed behind an answer. */
    async catalog(afterMs = CATALOG_FRESH_MS + 1): Promise<Catalog> {
      const behind: Promise<unknown>[] = [];
      const context = {
        env: bindings.env,
        tenant,
        log,
        after: (work: Promise<unknown>) => behind.push(work),
      };
      nowMs += afterMs;
      await catalogOf({ ...context, nowMs });
      await Promise.all(behind);
      return catalogOf({ ...context, nowMs });
    },
  };
}

const WORDS = { description: null, owner: null, tags: [] };

const scalar = (name: string): NewFeature => ({
  ...{ kind: "scalar", rawTableId: null, entityKey: null, materialize: null, computationLogic: null },
  ...WORDS,
  ...{ name, entityType: "bright_uid", category: "c" },
});

const versionOf = (version: number): NewVersion => ({
  ...{ version, dtype: "int64", computationLogic: null, ttlSeconds: null, defaultValue: null },
  ...{ status: "active", words: WORDS },
});

const register = (tenant: string, name: string, version: number) =>
  insertVersion(env.DB, tenant, scalar(name), versionOf(version), nowMicros());

describe("a catalog that has aged", () => {
  test("stays the same object, for one row of D1, while nothing has changed", async () => {
    const isolate = isolateOf("unchanged");
    await register("unchanged", "f", 1);
    const first = await isolate.catalog();
    expect(first.features.get("f")?.active?.version).toBe(1);
    expect(isolate.asked()).toHaveLength(1);
    await register("another", "g", 1);
    for (let i = 0; i < 3; i++) expect(await isolate.catalog()).toBe(first);
    const stamp = 'select "stamp" from "registry_stamps" where "registry_stamps"."tenant_id" = ?';
    expect(isolate.asked()).toEqual(Array.from({ length: 3 }, () => ({ kind: "query", sql: [stamp] })));
  });

  test("of a tenant that has registered nothing too, until it does", async () => {
    const isolate = isolateOf("empty");
    const first = await isolate.catalog();
    expect(await isolate.catalog()).toBe(first);
    await register("empty", "f", 1);
    expect([...(await isolate.catalog()).features.keys()]).toEqual(["f"]);
  });

  test("is another after every change, through whichever isolate", async () => {
    const tenant = "changing";
    const isolate = isolateOf(tenant);
    const seen = async () => {
      const feature = (await isolate.catalog()).features.get("f");
      return feature && [feature.active?.version, [...feature.versions.keys()]];
    };
    expect(await seen()).toBeUndefined();
    const { feature } = await register(tenant, "f", 1);
    expect(await seen()).toEqual([1, [1]]);
    await register(tenant, "f", 2);
    expect(await seen()).toEqual([2, [1, 2]]);
    const second = { featureId: feature?.featureId ?? 0, version: 2 };
    await setVersionStatus(env.DB, tenant, second, "deprecated", nowMicros());
    expect(await seen()).toEqual([1, [1, 2]]);
    await env.DB.prepare(
      "INSERT INTO raw_tables (table_id, tenant_id, name, columns, created_at) VALUES (9000, ?, 't', '[]', 0)",
    )
      .bind(tenant)
      .run();
    const vector = { ...scalar("v"), category: "v", kind: "computed", rawTableId: 9000 } as const;
    const computed = {
      ...vector,
      entityKey: "id",
      materialize: "manual",
      computationLogic: "SELECT 1",
    } as const;
    const proved = { feature: computed, proof: { tableId: 9000, columns: [] } };
    expect(await insertComputedFeature(env.DB, tenant, proved, nowMicros())).not.toBeNull();
    expect([...(await isolate.catalog()).features.keys()].sort()).toEqual(["f", "v"]);
    if (!feature) throw new Error("not registered");
    await removeFeature(env.DB, tenant, feature, { only: "any", now: nowMicros() });
    expect([...(await isolate.catalog()).features.keys()]).toEqual(["v"]);
  });

  test("is read whole once in a while: what was changed in D1 by hand has left no stamp", async () => {
    const isolate = isolateOf("by-hand");
    await register("by-hand", "f", 1);
    const before = await isolate.catalog();
    await env.DB.prepare("UPDATE features SET category = 'other' WHERE tenant_id = 'by-hand'").run();
    expect(await isolate.catalog()).toBe(before);
    const after = await isolate.catalog(CATALOG_WHOLE_MS);
    expect(after.features.get("f")?.category).toBe("other");
  });

  test("is forgotten with a change through this isolate", async () => {
    const isolate = isolateOf("own");
    await register("own", "f", 1);
    const before = await isolate.catalog();
    forgetCatalog("own");
    expect(await isolate.catalog()).not.toBe(before);
  });
});
