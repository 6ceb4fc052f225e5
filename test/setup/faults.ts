/**
 * The real bindings under watch: every call is recorded, and a fault may fail it, delay it or let it hang, before or
 * after the real call. Nothing is imitated: what runs, runs on the binding itself.
 */
import { env } from "cloudflare:workers";
import { bindingOf, entityDatabases } from "../../worker/db/entity-databases.ts";
import type { AvailabilityMessage, FeatureAvailable } from "../../worker/events/feature-available.ts";
import { InjectedFault } from "./injected-fault.ts";

interface Recorded {
  /** The real call has succeeded, whatever the caller was told. */
  ran: boolean;
}

export interface DatabaseCall extends Recorded {
  /** In the order of `entityDatabases`, from 0. */
  database: number;
  kind: "query" | "batch";
  /** Whether it writes; all that the store writes goes in one batch. */
  writes: boolean;
  sql: string[];
  /** Where the session was asked to begin. */
  session: string;
}

export interface CacheCall extends Recorded {
  kind: "get" | "bulk get" | "put" | "delete";
  keys: string[];
  /** What is put. */
  text: string | null;
  atMs: number;
}

export interface QueueCall extends Recorded {
  messages: AvailabilityMessage[];
  /** Of all messages. */
  events: FeatureAvailable[];
}

/** What happens around one call: it may do anything before and after `run`, or never run it. */
export type Fault<Call> = (call: Call, run: () => Promise<unknown>) => Promise<unknown>;

export interface Faults {
  database?: Fault<DatabaseCall>;
  cache?: Fault<CacheCall>;
  queue?: Fault<QueueCall>;
}

/** Asked in the same transaction as every write: what it left in the database, before anything else happens there. */
export interface Alongside {
  statements(db: Pick<D1DatabaseSession, "prepare">): D1PreparedStatement[];
  /** @param database In the order of `entityDatabases`, from 0. */
  seen(results: D1Result[], database: number): void;
}

export interface Watched {
  env: Env;
  database: DatabaseCall[];
  cache: CacheCall[];
  queue: QueueCall[];
  /** May be changed at any time; what is left out is healthy. */
  faults: Faults;
  alongside: Alongside | null;
  /** Events that the queue has taken, in order. */
  sent(): FeatureAvailable[];
  /** Forgets the calls so far. */
  forgetCalls(): void;
}

type Variables = Partial<
  Pick<Env, "MEMORY_TTL_MS" | "DOCUMENT_TTL_SECONDS" | "QUEUE_STORAGE" | "WRITER_PARTITIONS" | "METRICS">
>;

/**
 * @param variables Events are done when the queue has them, as in production, unless this says otherwise.
 * @param availability The queue of availability events.
 * @param databases Bound in place of those that are; without them `DB` alone is watched.
 */
export function watched(
  faults: Faults = {},
  variables: Variables = {},
  availability: Queue = env.FEATURE_AVAILABILITY,
  databases: readonly D1Database[] | null = null,
): Watched {
  const database: DatabaseCall[] = [];
  const cache: CacheCall[] = [];
  const queue: QueueCall[] = [];
  const watchNumber = (real: D1Database, number: number) =>
    watchDatabase(real, {
      number,
      watch: around(database, () => all.faults.database),
      alongside: () => all.alongside,
    });
  const replaced = Object.fromEntries(
    (databases ? entityDatabases(env) : []).map((_, number) => {
      const db = databases?.[number];
      return [bindingOf(number), db && watchNumber(db, number)];
    }),
  );
  const all: Watched = {
    env: {
      ...env,
      QUEUE_STORAGE: "durable",
      ...variables,
      DB: watchNumber(env.DB, 0),
      ...replaced,
      HOT: watchCache(
        env.HOT,
        around(cache, () => all.faults.cache),
      ),
      FEATURE_AVAILABILITY: watchQueue(
        availability,
        around(queue, () => all.faults.queue),
      ),
    },
    database,
    cache,
    queue,
    faults,
    alongside: null,
    sent: () => queue.filter(({ ran }) => ran).flatMap(({ events }) => events),
    forgetCalls: () => {
      for (const calls of [database, cache, queue]) calls.length = 0;
    },
  };
  return all;
}

export const failBefore = async (): Promise<never> => {
  throw new InjectedFault("the call did not arrive");
};

export const failAfter = async (_call: unknown, run: () => Promise<unknown>): Promise<never> => {
  await run();
  throw new InjectedFault("the call has run, its answer was lost");
};

/** As if the process died here: nothing after this point ever happens. */
export const dieBefore = (): Promise<never> => new Promise(() => {});

export const dieAfter = async (_call: unknown, run: () => Promise<unknown>): Promise<never> => {
  await run();
  return dieBefore();
};

/** The fault for the calls that `applies` to, the first `times` of them; all others are healthy. */
export function only<Call>(
  applies: (call: Call) => boolean,
  fault: Fault<Call>,
  times = Number.POSITIVE_INFINITY,
): Fault<Call> {
  let left = times;
  return (call, run) => {
    if (left <= 0 || !applies(call)) return run();
    left -= 1;
    return fault(call, run);
  };
}

export const isCommit = (call: DatabaseCall) => call.writes;
/** Any call but one for the registry, which is renewed behind whatever request comes when it has aged. */
export const isOfEntities = (call: DatabaseCall) =>
  !call.sql.some((text) => /feature_versions|registry_stamps/.test(text));
export const isPut = (call: CacheCall) => call.kind === "put";

type Around<Call> = <R>(call: Omit<Call, "ran">, run: () => Promise<R>) => Promise<R>;

function around<Call extends Recorded>(calls: Call[], fault: () => Fault<Call> | undefined): Around<Call> {
  return async <R>(facts: Omit<Call, "ran">, run: () => Promise<R>) => {
    const call = { ...facts, ran: false } as Call;
    calls.push(call);
    const recordedRun = async () => {
      const result = await run();
      call.ran = true;
      return result;
    };
    return (await (fault()?.(call, recordedRun) ?? recordedRun())) as R;
  };
}

interface WatchingDatabase {
  number: number;
  watch: Around<DatabaseCall>;
  alongside: () => Alongside | null;
}

function watchDatabase(real: D1Database, own: WatchingDatabase): D1Database {
  return overriding(real, {
    ...watchedStatements(real, "none", own),
    withSession: (start: string = "first-unconstrained") => {
      const session = real.withSession(start);
      return overriding(session, watchedStatements(session, start, own));
    },
  } as Partial<D1Database>);
}

function watchedStatements(
  real: D1Database | D1DatabaseSession,
  session: string,
  { number, watch, alongside }: WatchingDatabase,
): Pick<D1DatabaseSession, "prepare" | "batch"> {
  const known = new WeakMap<D1PreparedStatement, { sql: string; statement: D1PreparedStatement }>();
  const describe = (kind: DatabaseCall["kind"], sql: string[]) => ({
    database: number,
    kind,
    sql,
    session,
    writes: sql.some((text) => /\b(INSERT|DELETE|UPDATE)\b/i.test(text)),
  });
  const watchStatement = (sql: string, statement: D1PreparedStatement): D1PreparedStatement => {
    const watchQuery = (ask: () => Promise<unknown>) => watch(describe("query", [sql]), ask);
    const proxy = overriding(statement, {
      bind: (...values: unknown[]) => watchStatement(sql, statement.bind(...values)),
      all: (() => watchQuery(() => statement.all())) as D1PreparedStatement["all"],
      raw: (() => watchQuery(() => statement.raw())) as D1PreparedStatement["raw"],
      run: (() => watchQuery(() => statement.run())) as D1PreparedStatement["run"],
    });
    known.set(proxy, { sql, statement });
    return proxy;
  };
  return {
    prepare: (sql: string) => watchStatement(sql, real.prepare(sql)),
    batch: (<T>(statements: D1PreparedStatement[]) => {
      const own = statements.flatMap((statement) => known.get(statement) ?? []);
      const described = describe(
        "batch",
        own.map(({ sql }) => sql),
      );
      const run = async () => {
        const witness = described.writes ? alongside() : null;
        const asked = own.map(({ statement }) => statement);
        const results = await real.batch<T>([...asked, ...(witness?.statements(real) ?? [])]);
        witness?.seen(results.slice(asked.length), number);
        return results.slice(0, asked.length);
      };
      return watch(described, run);
    }) as D1DatabaseSession["batch"],
  };
}

function watchCache(real: KVNamespace, watch: Around<CacheCall>): KVNamespace {
  const describe = (kind: CacheCall["kind"], keys: string[], text: string | null = null) => ({
    kind,
    keys,
    text,
    atMs: Date.now(),
  });
  const get = (asked: string | string[], options: { type: "text" }) =>
    typeof asked === "string"
      ? watch<unknown>(describe("get", [asked]), () => real.get(asked, options))
      : watch<unknown>(describe("bulk get", asked), () => real.get(asked, options));
  return overriding(real, {
    get: get as KVNamespace["get"],
    put: (key, value, options) =>
      watch(describe("put", [key], String(value)), () => real.put(key, value, options)),
    delete: (key: string) => watch(describe("delete", [key]), () => real.delete(key)),
  } as Partial<KVNamespace>);
}

function watchQueue(real: Queue, watch: Around<QueueCall>): Queue {
  return overriding(real, {
    sendBatch: (requests) => {
      const sending = [...requests];
      const messages = sending.map(({ body }) => body as AvailabilityMessage);
      return watch({ messages, events: messages.flat() }, () => real.sendBatch(sending));
    },
  } as Partial<Queue>);
}

/** The real thing, with some of its methods replaced. */
function overriding<T extends object>(real: T, methods: Partial<T>): T {
  return new Proxy(real, {
    get(target, property) {
      const own: unknown = Reflect.get(methods, property);
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, property);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
