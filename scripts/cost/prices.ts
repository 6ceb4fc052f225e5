/**
 * List prices of Cloudflare's Workers Paid plan, in US dollars a month, without taxes and without a contract's discounts.
 *
 * All were looked up on {@link LOOKED_UP} in copies of Cloudflare's public documentation, the page of each beside it.
 * Copies age: look at the pages before you rely on a figure.
 */
export const LOOKED_UP = "2026-11-21";

export interface Price {
  product: string;
  /** What is counted. */
  unit: string;
  /** In the subscription, each month. */
  included: number;
  /** Dollars for each `per` beyond that. */
  dollars: number;
  per: number;
  source: string;
  /** False where the page does not say all of it. */
  confirmed: boolean;
  /** False for a price that is announced: it is shown, and not in the total. */
  billed?: boolean;
  note?: string;
}

const DOCS = "https://developers.cloudflare.com";
const MILLION = 1_000_000;

/** What an account with the plan pays at least. */
export const SUBSCRIPTION_DOLLARS = 5;

const price = (
  [product, unit]: [string, string],
  [included, dollars, per]: [number, number, number],
  source: string,
): Price => ({ product, unit, included, dollars, per, source: `${DOCS}${source}`, confirmed: true });

const WORKERS = "/workers/platform/pricing/";
const KV = "/kv/platform/pricing/";
const D1 = "/d1/platform/pricing/";
const R2 = "/r2/pricing/";
const OBJECTS = "/durable-objects/platform/pricing/";

export const prices = {
  workerRequests: price(["Workers", "requests"], [10 * MILLION, 0.3, MILLION], WORKERS),
  cpuMs: price(["Workers", "CPU milliseconds"], [30 * MILLION, 0.02, MILLION], WORKERS),
  kvReads: {
    ...price(["KV", "reads"], [10 * MILLION, 0.5, MILLION], KV),
    confirmed: false,
    note: "A read that finds nothing is one too. Of a bulk read each key is taken as one, which the page does not say.",
  },
  kvWrites: price(["KV", "writes"], [MILLION, 5, MILLION], KV),
  kvDeletes: price(["KV", "deletes"], [MILLION, 5, MILLION], KV),
  kvGb: price(["KV", "GB stored"], [1, 0.5, 1], KV),
  d1RowsRead: price(["D1", "rows read"], [25_000 * MILLION, 0.001, MILLION], D1),
  d1RowsWritten: price(["D1", "rows written"], [50 * MILLION, 1, MILLION], D1),
  d1Gb: price(["D1", "GB stored"], [5, 0.75, 1], D1),
  objectRequests: price(["Durable Objects", "requests"], [MILLION, 0.15, MILLION], OBJECTS),
  objectGbSeconds: price(["Durable Objects", "GB-seconds"], [400_000, 12.5, MILLION], OBJECTS),
  objectRowsRead: price(["Durable Objects", "rows read"], [25_000 * MILLION, 0.001, MILLION], OBJECTS),
  objectRowsWritten: price(["Durable Objects", "rows written"], [50 * MILLION, 1, MILLION], OBJECTS),
  queueOperations: {
    ...price(["Queues", "operations"], [MILLION, 0.4, MILLION], "/queues/platform/pricing/"),
    note: "A message is written, read and deleted: three operations for each 64 KB of it.",
  },
  archiveGb: { ...price(["R2", "GB stored"], [10, 0.015, 1], R2), note: "Looked up on 2026-11-28." },
  archiveWrites: {
    ...price(["R2", "class A operations"], [MILLION, 4.5, MILLION], R2),
    note: "Looked up on 2026-11-28.",
  },
  analyticsPoints: {
    ...price(
      ["Analytics Engine", "points"],
      [10 * MILLION, 0.25, MILLION],
      "/analytics/analytics-engine/pricing/",
    ),
    billed: false,
    note: "Announced, and not billed as long as its page says so.",
  },
  logEvents: {
    ...price(["Workers Logs", "events"], [20 * MILLION, 0.6, MILLION], WORKERS),
    note: "Until 2026-12-01; from then on the prices of Cloudflare Observability hold.",
  },
} satisfies Record<string, Price>;

/** What is billed, under the name of its price. */
export type Meter = keyof typeof prices;
export type Usage = Record<Meter, number>;

/** Not a price, but where the list ends: one D1 database holds no more. */
export const D1_MAX_GB = 10;
