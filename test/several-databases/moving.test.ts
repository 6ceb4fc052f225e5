/** Tenants whose entities are spread over more databases while they are in use. */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, test } from "vitest";
import { entityDatabases } from "../../worker/db/entity-databases.ts";
import { databaseOf } from "../../worker/keys.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { ask, setSpread, storedKey, storedTenant } from "../tenants/service.ts";

const TYPE = "bright_uid";
let admin: string;
beforeAll(async () => {
  ({ key: admin } = await storedKey("default", ["admin"]));
});

interface Spread {
  databases: number;
  bound: number;
  move: { databases: number; phase: string; rows_copied: number } | null;
}

const spread = async (tenant: string, body: object = {}) => {
  const { status, text, json } = await ask(`POST /api/v1/admin/tenants/${tenant}/spread`, { key: admin, body });
  return { status, text, spread: json as unknown as Spread };
};

/** @returns the phases that were seen. */
async function moveWhole(tenant: string, body: object = {}): Promise<string[]> {
  const phases: string[] = [];
  for (;;) {
    const { status, text, spread: answer } = await spread(tenant, body);
    expect(status, text).toBe(200);
    phases.push(answer.move?.phase ?? "none");
    if (!answer.move || answer.move.phase === "cleaning") return phases;
  }
}

test("a move", async () => {
  const tenant = await storedTenant("grows");
  await setSpread(tenant, 1);
  const { key } = await storedKey(tenant, ["read", "write"]);
  const ids = Array.from({ length: 90 }, (_, i) => `g-${i}`);
  const write = (n: number) =>
    ask("POST /api/v1/items/batch", {
      key,
      body: {
        metadata: { source: "prediction_service" },
        data: ids.map((entity_value, i) => ({
          entity_type: TYPE,
          entity_value,
          feature_list: [{ category: "c", features: { n: n * 1000 + i } }],
        })),
      },
    });
  const first = await write(1);
  expect(first.status, first.text).toBe(200);
  await write(2);
  const started = Date.now();
  console.log(await moveWhole(tenant), Date.now() - started);
  const places = await Promise.all(
    entityDatabases(env).map(async (db) => {
      const { results } = await db.prepare("SELECT DISTINCT bright_uid AS id FROM bright_uid WHERE tenant_id = ?").bind(tenant).all<{ id: string }>();
      return results.length;
    }),
  );
  console.log(places);
  isolateMemory.clear();
  const { text } = await ask("POST /api/v1/features/online", { key, body: { entity_type: TYPE, entity_ids: ids, feature_names: ["c:n"], consistency: "strong" } });
  const found = (JSON.parse(text) as { results: { features: Record<string, { value: number }> }[] }).results.map(({ features }) => features["c:n"]?.value);
  expect(found).toEqual(ids.map((_, i) => 2000 + i));
  const third = await write(3);
  expect(third.status, third.text).toBe(200);
});
