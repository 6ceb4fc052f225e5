/** The bindings, each with a counter around it. What is counted is what the platform bills: operations, not calls. */
import { add, noteSent, setDatabaseBytes, tracked } from "./counters.ts";

/** Queues bills each 64 KB of a message, with about 100 bytes of its own (its documentation). */
const QUEUE_BLOCK_BYTES = 64_000;
const QUEUE_OWN_BYTES = 100;

function overriding<T extends object>(real: T, methods: Record<string, unknown>): T {
  return new Proxy(real, {
    get(target, name) {
      const own = methods[String(name)];
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

interface Meta {
  rows_read?: number;
  rows_written?: number;
  size_after?: number;
}

/** D1's binding asks the database over a fetcher of its own: each request is a query or a batch, with its bill. */
function countDatabase(db: D1Database): D1Database {
  const inner = db as unknown as { fetcher: Fetcher; alwaysPrimarySession?: { fetcher: Fetcher } };
  const { fetcher } = inner;
  const counted = overriding(fetcher, {
    fetch: async (...args: Parameters<Fetcher["fetch"]>) => {
      const response = await tracked(() => fetcher.fetch(...args));
      // The registry is read once in a while by each isolate, whatever its requests: it is counted apart.
      if (String(args[1]?.body).includes("feature_versions")) {
        add("catalogQueries");
        return response;
      }
      add("d1Queries");
      const answered: unknown = await response.clone().json();
      for (const { meta } of [answered].flat() as { meta?: Meta }[]) {
        add("d1RowsRead", meta?.rows_read ?? 0);
        add("d1RowsWritten", meta?.rows_written ?? 0);
        if (meta?.size_after !== undefined) setDatabaseBytes(meta.size_after);
      }
      return response;
    },
  });
  inner.fetcher = counted;
  if (inner.alwaysPrimarySession) inner.alwaysPrimarySession.fetcher = counted;
  return db;
}

function countCache(kv: KVNamespace): KVNamespace {
  const get = (keys: string | string[], ...rest: unknown[]) => {
    add("kvReads", Array.isArray(keys) ? keys.length : 1);
    return tracked(() => (kv.get as (...args: unknown[]) => Promise<unknown>)(keys, ...rest));
  };
  return overriding(kv, {
    get,
    put: (key: string, value: string, options?: KVNamespacePutOptions) => {
      add("kvWrites");
      add("kvBytes", value.length);
      return tracked(() => kv.put(key, value, options));
    },
    delete: (key: string) => {
      add("kvDeletes");
      return tracked(() => kv.delete(key));
    },
  });
}

function countQueue(queue: Queue): Queue {
  const note = (body: unknown) => {
    const bytes = Buffer.byteLength(JSON.stringify(body)) + QUEUE_OWN_BYTES;
    add("queueMessages");
    noteSent(1);
    add("queueBlocks", Math.ceil(bytes / QUEUE_BLOCK_BYTES));
  };
  return overriding(queue, {
    send: (body: unknown, options?: QueueSendOptions) => {
      note(body);
      return tracked(() => queue.send(body, options));
    },
    sendBatch: (messages: Iterable<MessageSendRequest>, options?: QueueSendBatchOptions) => {
      const all = [...messages];
      for (const { body } of all) note(body);
      return tracked(() => queue.sendBatch(all, options));
    },
  });
}

function countPoints(analytics: AnalyticsEngineDataset): AnalyticsEngineDataset {
  return overriding(analytics, {
    writeDataPoint: (point?: AnalyticsEngineDataPoint) => {
      add("analyticsPoints");
      analytics.writeDataPoint(point);
    },
  });
}

let counted: Env | undefined;

export function countedEnv(env: Env): Env {
  counted ??= {
    ...env,
    DB: countDatabase(env.DB),
    HOT: countCache(env.HOT),
    FEATURE_AVAILABILITY: countQueue(env.FEATURE_AVAILABILITY),
    FEATURE_COMPUTE: countQueue(env.FEATURE_COMPUTE),
    ANALYTICS: countPoints(env.ANALYTICS),
  };
  return counted;
}
