/** Whose turn it is to write to a new database. */
import { env } from "cloudflare:workers";
import { beforeEach, expect, test } from "vitest";
import { entityDatabases } from "../../worker/db/entity-databases.ts";
import {
  copyRows,
  fence,
  keysAfter,
  MOVED_TABLES,
  Overtaken,
  removeEntities,
  removeSome,
} from "../../worker/tenants/moving/moved-rows.ts";

const [source, target] = entityDatabases(env) as [D1Database, D1Database];
const table = MOVED_TABLES[1] as (typeof MOVED_TABLES)[number];
const refs = [{ entityType: "bright_uid", entityValue: "user-1" }];
const rest = () => Promise.resolve();

const put = (db: D1Database, tenant: string, revision: number) =>
  db
    .prepare(
      `INSERT INTO bright_uid (tenant_id, bright_uid, category, data, event_time, created_at, updated_at, revision)
       VALUES (?, 'user-1', 'c', '{"n":1}', 1, 1, 1, ?)`,
    )
    .bind(tenant, revision)
    .run();
const revisionIn = (db: D1Database, tenant: string) =>
  db.prepare("SELECT revision FROM bright_uid WHERE tenant_id = ?").bind(tenant).first<number>("revision");

let made = 0;
let tenant = "";
beforeEach(async () => {
  made += 1;
  tenant = `fenced-${made}`;
  // As after the move: the new database is ahead.
  await put(source, tenant, 1);
  await put(target, tenant, 2);
});

const copy = async (run: number) => {
  const keys = await keysAfter(source, tenant, { table, after: null });
  await copyRows({ tenant, run }, { source, target, table, keys, rest });
};

test("is that of the run that has fenced it last", async () => {
  await fence(target, { tenant, run: 7 });
  await copy(7);
  expect(await revisionIn(target, tenant)).toBe(1);
  await removeEntities(target, { tenant, run: 7 }, { refs, isWhole: true });
  expect(await revisionIn(target, tenant)).toBeNull();
});

test.each([
  ["copies", () => copy(7)],
  ["removes of an entity", () => removeEntities(target, { tenant, run: 7 }, { refs, isWhole: true })],
  ["removes of the tenant", () => removeSome(target, { tenant, run: 7 })],
] as const)("is not another run's, which %s nothing and learns of it", async (_what, work) => {
  await expect(work()).rejects.toThrow(Overtaken);
  await fence(target, { tenant, run: 8 });
  // It comes too late for its own fence too.
  await fence(target, { tenant, run: 7 });
  await expect(work()).rejects.toThrow(Overtaken);
  expect(await revisionIn(target, tenant)).toBe(2);
});

test("is nobody's because another tenant moves", async () => {
  await fence(target, { tenant: "another", run: 7 });
  await expect(copy(7)).rejects.toThrow(Overtaken);
  expect(await revisionIn(target, tenant)).toBe(2);
});
