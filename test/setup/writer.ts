/** EntityWriters over real storage, with bindings under watch, and what tests want to know of the stores. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { vi } from "vitest";
import { selectEntities } from "../../worker/db/current-rows.ts";
import type { Idempotency } from "../../worker/db/idempotency-record.ts";
import type { FeatureAvailable } from "../../worker/events/feature-available.ts";
import { documentKey, type EntityRef } from "../../worker/keys.ts";
import { decodeDocument, documentOf, type EntityDocument } from "../../worker/serving/document.ts";
import type {
  CategoryWrite,
  ChangeReply,
  ChangeRequest,
  ChangeResult,
  EntityDelete,
  EntityWrite,
  RequestRow,
  Settled,
} from "../../worker/writing/entity-write.ts";
import { EntityWriter } from "../../worker/writing/entity-writer.ts";

// Most of these tests wait for something that takes a second of its own, on machines that do other things as well.
vi.setConfig({ testTimeout: 40_000 });

let made = 0;

/** A tenant that no other test has: D1 and KV are shared within a file. */
export function newTenant(): string {
  made += 1;
  return `tenant-${made}`;
}

export function ref(value: string, type = "bright_uid"): EntityRef {
  return { entityType: type, entityValue: value };
}

/** The entity of most tests. */
export const user = ref("user-1");

export const keyed = (key: string) => ({ key, fingerprint: "the-same-body" });

type WriteOptions = Partial<Omit<CategoryWrite, "category" | "data" | "names">> & {
  ifRevision?: number;
  type?: string;
};

/** A write of one entity. @param categories category → values. */
export function write(
  value: string,
  categories: Record<string, Record<string, unknown>>,
  { ifRevision, type, ...options }: WriteOptions = {},
): EntityWrite {
  return {
    kind: "write",
    ...ref(value, type),
    source: null,
    ifRevision: ifRevision ?? null,
    categories: Object.entries(categories).map(([category, values]) => ({
      category,
      mode: "replace",
      eventTime: null,
      computeId: null,
      ttlSeconds: null,
      data: JSON.stringify(values),
      names: Object.keys(values),
      ...options,
    })),
  };
}

export function remove(value: string, category: string | null = null): EntityDelete {
  return { kind: "delete", ...ref(value), category, datedNow: false };
}

export interface TestWriter {
  tenant: string;
  instance: EntityWriter;
  submit(rows: RequestRow | RequestRow[], idempotency?: ChangeRequest["idempotency"]): Promise<ChangeReply>;
  recall(idempotency: Idempotency): Promise<Settled | null | "unknown">;
  fill(...refs: EntityRef[]): Promise<void>;
  alarm(): Promise<void>;
  invalidate(ref: EntityRef): Promise<boolean>;
  confirm(eventIds: string[]): Promise<void>;
  /** Takes no write for a while; whether nothing is under way. */
  pause(): Promise<boolean>;
  /** Notes from now on what it changes. */
  watch(run?: number): Promise<void>;
  changed(): Promise<string[]>;
  /** As if all that is noted were copied now. */
  copied(): Promise<void>;
}

export interface WriterObject {
  tenant: string;
  state: DurableObjectState;
  /** A new instance over the same storage: what the platform makes after an eviction or a crash. */
  /** @param partitions Of the service now; the writer itself is one of {@link PARTITIONS}. */
  start(env: Env, partitions?: number): TestWriter;
  intents(): number;
  documents(): { entity: string; dirty: number }[];
}

/**
 * Runs `use` inside an object of its own. The object's name is no writer's, and the instance that the platform makes
 * for it never acts: only what the test starts does.
 */
export async function inWriterObject<R>(
  use: (object: WriterObject) => Promise<R>,
  tenant = newTenant(),
): Promise<R> {
  made += 1;
  const stub = env.ENTITY_WRITER.getByName(`test-object-${made}`);
  return runInDurableObject(stub, async (passive, state) => {
    Object.defineProperty(passive, "alarm", { value: async () => {} });
    const sql = state.storage.sql;
    return use({
      tenant,
      state,
      start: (watchedEnv, partitions = PARTITIONS) => {
        const own = { ...watchedEnv, WRITER_PARTITIONS: String(partitions) };
        return testWriter(tenant, new EntityWriter(state, own));
      },
      intents: () => sql.exec<{ n: number }>("SELECT count(*) AS n FROM intents").one().n,
      documents: () =>
        sql.exec<{ entity: string; dirty: number }>("SELECT entity, dirty FROM documents").toArray(),
    });
  });
}

const PARTITIONS = 1;

function testWriter(tenant: string, instance: EntityWriter): TestWriter {
  const identity = { tenant, partitions: PARTITIONS, database: 0, databases: 1 };
  return {
    tenant,
    instance,
    submit: (given, idempotency = null) => {
      const rows = [given].flat();
      return instance.change(identity, { rows, positions: [...rows.keys()], idempotency });
    },
    recall: (idempotency) => instance.recall(identity, idempotency),
    fill: (...refs) => instance.fill(identity, refs),
    alarm: () => instance.alarm(),
    invalidate: (entity) => instance.invalidate(identity, entity),
    confirm: (eventIds) => instance.confirm(identity, eventIds),
    pause: () => instance.pause(identity),
    watch: (run = 1) => instance.watch(identity, run),
    copied: async () => {
      const changed = await instance.changedEntities(identity, 100);
      await instance.forgetChanged(
        identity,
        changed.map(({ seq }) => seq),
      );
    },
    changed: async () => (await instance.changedEntities(identity, 100)).map(({ entity }) => entity),
  };
}

/** The results of a reply that settled. @throws when it is another, or a row of it is refused. */
export function resultsOf(reply: ChangeReply): ChangeResult[] {
  if (reply.kind !== "settled") throw new Error(`the reply is ${reply.kind}`);
  return reply.settled.map(({ result }) => {
    if (result.outcome === "refused") throw new Error(`a row is refused: ${result.reason.detail}`);
    return result;
  });
}

/** What D1 holds of an entity. */
export async function stored(tenant: string, entity: EntityRef): Promise<EntityDocument | null> {
  const [found] = (await selectEntities(env.DB.withSession("first-primary"), tenant, [entity])) ?? [];
  return found ? documentOf(found.revision, found.rows) : null;
}

/** What KV holds of an entity. */
export async function cached(
  tenant: string,
  entity: EntityRef,
  partitions = PARTITIONS,
): Promise<EntityDocument | null> {
  const text = await env.HOT.get(await documentKey(tenant, partitions, entity));
  return text === null ? null : decodeDocument(text);
}

export interface HistoryFacts {
  entity_value: string;
  category: string;
  revision: number;
  event_id: string | null;
  data: string;
}

export async function history(tenant: string): Promise<HistoryFacts[]> {
  const { results } = await env.DB.prepare(
    "SELECT entity_value, category, revision, event_id, data FROM feature_history WHERE tenant_id = ? ORDER BY entity_value, revision, category",
  )
    .bind(tenant)
    .all<HistoryFacts>();
  return results;
}

export const idsOf = (events: readonly FeatureAvailable[]) => events.map(({ event_id: id }) => id);
