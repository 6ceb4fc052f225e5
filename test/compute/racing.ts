/** What tests of races need: rows and messages one by one, and bindings that stop where the other one is to pass. */
import {
  createExecutionContext,
  createMessageBatch,
  getQueueResult,
  waitOnExecutionContext,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { vi } from "vitest";
import { consumeCompute } from "../../worker/compute/consumer.ts";
import type { Follower } from "../../worker/compute/follower-store.ts";
import type { RawSchema } from "../../worker/compute/raw-columns.ts";
import worker from "../../worker/index.ts";
import { ORIGIN } from "../setup/http.ts";
import { eventTime, type Feature, objectOf, type Table, TENANT } from "./tables.ts";

/** Of a table of `COLUMNS`. */
export const SCHEMA: RawSchema = {
  columns: [
    ["user_id", "string"],
    ["amount", "integer"],
    ["at", "timestamp"],
  ],
  timestampColumn: "at",
};

/** As the table's object knows a version of a streaming feature. */
export const followerOf = ({ feature_id }: Pick<Feature, "feature_id">, version = 1): Follower => ({
  featureId: feature_id,
  version,
  entityKey: "user_id",
});

/** Rows whose message is lost: they go straight to the table's object. All are of one time. */
export async function ingestUnannounced(
  table: Pick<Table, "id">,
  followers: Follower[],
  users: string[],
): Promise<void> {
  await objectOf(table).ingest(ingestOf(table, users, followers));
}

/** What the route asks the table's object for, of rows of one time. */
export function ingestOf(table: Pick<Table, "id">, users: string[], followers: Follower[] = []) {
  const rows = users.map((user) => [user, 1, eventTime(1)]);
  return {
    schema: SCHEMA,
    parts: [JSON.stringify(rows)],
    count: rows.length,
    longestText: 40,
    followers,
    isRetained: false,
    table: { tenant: TENANT, tableId: table.id },
    idempotency: null,
  };
}

/** A batch as the queue delivers it, with what became of its messages; `delays` in seconds. */
export async function consume(bodies: unknown[], own: Env = env, attempts = 1) {
  const messages = bodies.map((body, i) => ({ id: `m${i}`, timestamp: new Date(), attempts, body }));
  const batch = createMessageBatch("feature-compute", messages);
  const retries = batch.messages.map((message) => vi.spyOn(message, "retry"));
  const context = createExecutionContext();
  await consumeCompute(batch, own);
  const delays = retries.flatMap(({ mock }) => mock.calls.map(([options]) => options?.delaySeconds ?? 0));
  return { ...(await getQueueResult(batch, context)), delays };
}

export const arrived = ({ id }: Pick<Table, "id">) => ({
  kind: "ingest",
  tenant_id: TENANT,
  table_id: id,
});

type Method = (...args: never[]) => unknown;

/** The bindings, with some methods of every stub of `binding` taken over; `real` is the call as it was. */
export function withStubs(
  binding: "RAW_TABLE" | "ENTITY_WRITER" | "FEATURE_STATS",
  methods: Record<string, (real: () => Promise<unknown>, ...args: never[]) => unknown>,
  own: Env = env,
): Env {
  const getByName = (name: string) => {
    const stub = own[binding].getByName(name) as unknown as Record<string, Method>;
    const call =
      (method: string) =>
      (...args: never[]) => {
        const real = () => stub[method]?.(...args) as Promise<unknown>;
        return methods[method]?.(real, ...args) ?? real();
      };
    return new Proxy({}, { get: (_, method: string) => (method === "then" ? undefined : call(method)) });
  };
  return { ...own, [binding]: { getByName } } as Env;
}

/** The bindings, with a queue that notes what it is sent and brings nothing. */
export function withoutQueue(own: Env = env): { own: Env; sent: unknown[] } {
  const sent: unknown[] = [];
  const send = async (body: unknown) => void sent.push(body);
  return { own: { ...own, FEATURE_COMPUTE: { send } } as unknown as Env, sent };
}

/** For tests in which somebody dies. */
export function silent(): void {
  for (const level of ["error", "warn"] as const) vi.spyOn(console, level).mockImplementation(() => {});
}

/** For whoever looks at a clock. */
export function clockAhead(byMs: number): void {
  const now = Date.now.bind(Date);
  vi.spyOn(Date, "now").mockImplementation(() => now() + byMs);
}

/** Who comes to `stop` waits there until `open`; `reached` is when the first one has come. */
export function gate() {
  const opened = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const stop = () => {
    reached.resolve();
    return opened.promise;
  };
  return { stop, open: () => opened.resolve(), reached: reached.promise };
}

/** The bindings, with tables whose computations are computed, and do not come back until `open`. */
export function slowToAnswer(own: Env = env) {
  const { stop, ...doors } = gate();
  const compute = async (real: () => Promise<unknown>) => {
    const reply = await real();
    await stop();
    return reply;
  };
  return { ...doors, slow: withStubs("RAW_TABLE", { compute }, own) };
}

/** A request to the service with these bindings. */
export async function askWith<T>(own: Env, method: string, path: string, body?: unknown) {
  const context = createExecutionContext();
  const request = new Request(`${ORIGIN}/api/v1${path}`, {
    method,
    ...(body !== undefined && {
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    }),
  });
  const response = await worker.fetch(request as never, own, context);
  const answer = { status: response.status, body: (await response.json()) as T };
  await waitOnExecutionContext(context);
  return answer;
}
