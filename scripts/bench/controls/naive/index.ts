/**
 * What a plain Worker does: one D1 batch for each entity that is written, with the same rows in the same tables, and
 * of a cold read one KV miss and one D1 statement. No validation, no order among writers, no events, no cache.
 */
import { Hono } from "hono";

interface Category {
  category: string;
  features: Record<string, unknown>;
}

interface Entity {
  entity_type: string;
  entity_value: string;
  feature_list: Category[];
}

const TENANT = "default";
const KV_CACHE_TTL_SECONDS = 30;

const UPSERT = `
  INSERT INTO bright_uid (tenant_id, bright_uid, category, data, event_time, floor, created_at, updated_at, revision, source)
  VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?5, ?5, 1, 'prediction_service')
  ON CONFLICT DO UPDATE SET data = excluded.data, event_time = excluded.event_time, floor = excluded.floor,
    updated_at = excluded.updated_at, revision = revision + 1, source = excluded.source`;

const ADD_HISTORY = `
  INSERT INTO feature_history (tenant_id, entity_type, entity_value, category, event_time, revision, mode, data, ingested_at, event_id)
  VALUES (?1, 'bright_uid', ?2, ?3, ?5, (SELECT revision FROM bright_uid WHERE tenant_id = ?1 AND bright_uid = ?2 AND category = ?3),
    'replace', ?4, ?5, ?6)`;

const SELECT = `SELECT category, data, event_times, event_time, created_at, updated_at, revision, compute_id, expires_at
  FROM bright_uid WHERE tenant_id = ?1 AND bright_uid = ?2`;

const app = new Hono<{ Bindings: { DB: D1Database; HOT: KVNamespace } }>();

app.get("/api/v1/get/item/:entity_value/:category", async (c) => {
  const value = c.req.param("entity_value");
  await c.env.HOT.get(`${TENANT}/${value}`, { type: "text", cacheTtl: KV_CACHE_TTL_SECONDS });
  const { results } = await c.env.DB.prepare(SELECT).bind(TENANT, value).all();
  return c.json(results);
});

app.post("/api/v1/items", async (c) => {
  const { data } = await c.req.json<{ data: Entity }>();
  await c.env.DB.batch(statements(c.env.DB, data));
  return c.json({ entity_value: data.entity_value });
});

app.post("/api/v1/items/batch", async (c) => {
  const { data } = await c.req.json<{ data: Entity[] }>();
  await Promise.all(data.map((entity) => c.env.DB.batch(statements(c.env.DB, entity))));
  return c.json({ count: data.length });
});

/** All entities in one batch: how they come there before anything is measured. */
app.post("/fill", async (c) => {
  const { data } = await c.req.json<{ data: Entity[] }>();
  await c.env.DB.batch(data.flatMap((entity) => statements(c.env.DB, entity)));
  return c.json({ count: data.length });
});

let lastMicros = 0;

function statements(
  db: D1Database,
  { entity_value: value, feature_list: list }: Entity,
): D1PreparedStatement[] {
  // Two writes of an entity within a millisecond would else be the same row of its history.
  lastMicros = Math.max(Date.now() * 1_000, lastMicros + 1);
  const at = lastMicros;
  return list.flatMap(({ category, features }) => {
    const data = JSON.stringify(features);
    return [
      db.prepare(UPSERT).bind(TENANT, value, category, data, at),
      db.prepare(ADD_HISTORY).bind(TENANT, value, category, data, at, crypto.randomUUID()),
    ];
  });
}

export default app;
