/** What a read of many entities takes from several databases. */
import { env } from "cloudflare:workers";
import { beforeAll, expect, test } from "vitest";
import { bindingOf, entityDatabases } from "../../worker/db/entity-databases.ts";
import { databaseOf } from "../../worker/keys.ts";
import { MAX_ENTITIES_BYTES } from "../../worker/limits.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { ask, setSpread, storedKey, storedTenant } from "../tenants/service.ts";

const MIB = 1024 * 1024;
const TENANT = "large";

/** The bindings, and how many bytes of data D1 has answered in all. */
function counted(): { env: Env; bytes: () => number } {
  let bytes = 0;
  const through = <T extends object>(real: T): T =>
    new Proxy(real, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          const made: unknown = value.apply(target, args);
          if (property !== "all")
            return ["withSession", "prepare", "bind"].includes(String(property))
              ? through(made as object)
              : made;
          return (made as Promise<D1Result<{ data?: string | null }>>).then((answer) => {
            for (const { data } of answer.results) bytes += data?.length ?? 0;
            return answer;
          });
        };
      },
    });
  const databases = entityDatabases(env).map((db, number) => [bindingOf(number), through(db)]);
  return { env: { ...env, ...Object.fromEntries(databases) }, bytes: () => bytes };
}

/** Entities of this database. */
const idsIn = (database: number, count: number, prefix: string) =>
  Array.from({ length: 100 }, (_, i) => `${prefix}-${i}`)
    .filter((id) => databaseOf({ entityType: "bright_uid", entityValue: id }, 3) === database)
    .slice(0, count);

async function store(id: string, mib: number): Promise<string> {
  const db = entityDatabases(env)[databaseOf({ entityType: "bright_uid", entityValue: id }, 3)];
  await db
    ?.prepare(
      `INSERT INTO bright_uid (tenant_id, bright_uid, category, data, event_time, created_at, updated_at, revision)
       SELECT ?, ?, 'c' || value, '{"n":1,"t":"' || hex(zeroblob(${MIB / 2})) || '"}', 1, 1, 1, 1
       FROM json_each(?)`,
    )
    .bind(TENANT, id, JSON.stringify(Array.from({ length: mib }, (_, i) => i)))
    .run();
  return id;
}

let key: string;
beforeAll(async () => {
  await storedTenant(TENANT);
  await setSpread(TENANT, 3);
  ({ key } = await storedKey(TENANT, ["read"]));
});

async function read(ids: string[]) {
  isolateMemory.clear();
  const own = counted();
  const body = { entity_type: "bright_uid", entity_ids: ids, feature_names: ["c0:n"] };
  const answer = await ask("POST /api/v1/features/online", { key, env: own.env, body });
  return { status: answer.status, text: answer.text, bytes: own.bytes() };
}

test("no more than is read at once leaves all of them together", async () => {
  const ids = await Promise.all([0, 1, 2].map((database) => store(idsIn(database, 1, "big")[0] ?? "", 15)));
  const { status, text, bytes } = await read(ids);
  expect(status, text.slice(0, 300)).toBe(422);
  expect(text).toContain("ask for fewer at a time");
  expect(bytes).toBeLessThanOrEqual(MAX_ENTITIES_BYTES);
});

test("what fits together is read, wherever most of it is", async () => {
  const ids = await Promise.all([
    ...idsIn(1, 3, "most").map((id) => store(id, 6)),
    ...[0, 2].map((database) => store(idsIn(database, 1, "few")[0] ?? "", 2)),
  ]);
  const { status, text } = await read(ids);
  expect(status, text.slice(0, 300)).toBe(200);
  expect(
    (JSON.parse(text) as { results: { features: object }[] }).results.map(({ features }) => features),
  ).toEqual(ids.map(() => ({ "c0:n": expect.objectContaining({ value: 1 }) })));
});
