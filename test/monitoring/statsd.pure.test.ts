/** When the exporter sends, what it does without a server, and what that costs: with streams driven by hand. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { STATSD_MAX_SERIES } from "../../worker/limits.ts";
import { type Connect, StatsdExporter } from "../../worker/monitoring/statsd.ts";
import { operationRecord } from "../../worker/monitoring/timed.ts";
import { STATSD_FLUSH_TIMEOUT_MS, STATSD_LOG_MS, STATSD_RETRY_MS } from "../../worker/timings.ts";
import { countOf, parsePacket } from "./statsd-grammar.ts";

const VARS = {
  ENVIRONMENT: "production",
  LOG_LEVEL: "WARNING",
  WRITER_PARTITIONS: "4",
  WRITER_GROUP_WRITES: "1000",
  MEMORY_TTL_MS: "1000",
  DOCUMENT_TTL_SECONDS: "86400",
  QUEUE_STORAGE: "durable",
  HISTORY_RETENTION_DAYS: "90",
  DELIVERY_FIRST_RETRY_MS: "5000",
  DELIVERY_TIMEOUT_MS: "10000",
};
const env = { ...VARS, STATSD_HOST: "stats.test", STATSD_PORT: "9125", STATSD_PREFIX: "p" } as unknown as Env;
const without = VARS as unknown as Env;

type Peer = "reads" | "refuses" | "never reads";

let peer: Peer = "reads";
let addresses: SocketAddress[] = [];
let packets: string[] = [];
let closes = 0;
let warnings: string[] = [];
let exporter: StatsdExporter;

const connect: Connect = (address) => {
  addresses.push(address);
  const refused = peer === "refuses" ? Promise.reject(new Error("connection refused")) : null;
  const isDeaf = peer === "never reads";
  let packet = "";
  return {
    opened: (refused ?? Promise.resolve({})) as Promise<SocketInfo>,
    closed: refused ?? new Promise<void>(() => {}),
    writable: new WritableStream<Uint8Array>({
      write: (bytes) => {
        if (isDeaf) return new Promise(() => {});
        packet += new TextDecoder().decode(bytes);
        return refused ?? undefined;
      },
      close: () => void packets.push(packet),
    }),
    close: () => {
      closes += 1;
      return isDeaf ? new Promise(() => {}) : Promise.resolve();
    },
  };
};

const note = (times = 1) => {
  const record = operationRecord({ operation: "kv.get", outcome: "ok", durationMs: 1 });
  for (let i = 0; i < times; i++) exporter.note(record);
};
const received = () => packets.reduce((total, packet) => total + countOf(parsePacket(packet), "p.kv.get"), 0);
/** A flush, and the time it needs at most. */
const flush = async () => {
  const flushed = exporter.flush(env);
  await vi.advanceTimersByTimeAsync(STATSD_FLUSH_TIMEOUT_MS);
  await flushed;
};

beforeEach(() => {
  vi.useFakeTimers();
  [peer, addresses, packets, closes, warnings] = ["reads", [], [], 0, []];
  vi.spyOn(console, "warn").mockImplementation((line) => void warnings.push(String(line)));
  exporter = new StatsdExporter({ connect });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("a flush opens one connection, writes all there is, and closes it", async () => {
  note(40);
  await flush();
  expect(addresses).toEqual([{ hostname: "stats.test", port: 9_125 }]);
  expect([received(), packets.length, closes]).toEqual([40, 1, 1]);
});

test("nothing is sent when there is nothing", async () => {
  note();
  await flush();
  await flush();
  expect(addresses).toHaveLength(1);
});

test("without STATSD_HOST there is no connection, and nothing is gathered", async () => {
  note(5);
  await exporter.flush(without);
  note(5);
  await flush();
  expect(addresses).toEqual([]);
  // Now that there is one, it gathers.
  note(2);
  await flush();
  expect(received()).toBe(2);
});

test("two flushes at once send no record twice", async () => {
  note(3);
  await Promise.all([flush(), flush()]);
  expect([received(), addresses.length]).toEqual([3, 1]);
});

test.each(["refuses", "never reads"] as const)(
  "a server that %s costs what was gathered, once, and a pause",
  async (how) => {
    peer = how;
    note(3);
    await flush();
    expect(closes).toBe(1);
    peer = "reads";
    note(4);
    await vi.advanceTimersByTimeAsync(STATSD_RETRY_MS - STATSD_FLUSH_TIMEOUT_MS - 1);
    await exporter.flush(env);
    expect(addresses).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(STATSD_FLUSH_TIMEOUT_MS + 1);
    await flush();
    expect(received()).toBe(4);
  },
);

test("a server that never reads holds a flush up for its time at most", async () => {
  peer = "never reads";
  note();
  let isDone = false;
  const flushed = exporter.flush(env).then(() => {
    isDone = true;
  });
  await vi.advanceTimersByTimeAsync(STATSD_FLUSH_TIMEOUT_MS - 1);
  expect(isDone).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await flushed;
  expect(vi.getTimerCount()).toBe(0);
});

test("a server that stays away is logged once in a while, with all that was lost", async () => {
  peer = "refuses";
  const untilMs = Date.now() + STATSD_LOG_MS;
  let flushes = 0;
  while (Date.now() < untilMs) {
    note(10);
    await flush();
    flushes += 1;
  }
  expect(warnings).toHaveLength(1);
  expect(JSON.parse(warnings[0] ?? "")).toMatchObject({ name: "statsd", failed_flushes: 1, records: 10 });
  await vi.advanceTimersByTimeAsync(STATSD_RETRY_MS);
  note(10);
  await flush();
  expect(warnings).toHaveLength(2);
  expect(JSON.parse(warnings[1] ?? "")).toMatchObject({ records: flushes * 10 });
  expect(warnings.join()).toContain("connection refused");
});

test("records that found no room are sent as a number, and logged", async () => {
  for (let i = 0; i < STATSD_MAX_SERIES + 2; i++) {
    exporter.note({
      kind: "request",
      operation: "read.x",
      endpoint: `/${i}`,
      method: "GET",
      status: 200,
      durationMs: 1,
      entityType: "",
      reads: null,
      entities: -1,
      categories: -1,
      values: null,
    });
  }
  await flush();
  expect(countOf(parsePacket(packets[0] ?? ""), "p.statsd.dropped")).toBe(2);
  expect(JSON.parse(warnings[0] ?? "")).toMatchObject({ failed_flushes: 0, records: 2 });
});
