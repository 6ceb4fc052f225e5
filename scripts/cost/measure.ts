/** Drives known traffic and divides: what one request of each kind costs. */
import { setTimeout as sleep } from "node:timers/promises";
import { OUTBOX_PAUSE_MS } from "../../worker/timings.ts";
import { type CountedService, QUIET_MS, type Shape, startCounted } from "./counted-service.ts";
import { type Counts, NOTHING, scaled, sum } from "./counts.ts";

/** What is counted, each per request or per entity. */
export interface Measured {
  /** A read answered from the isolate's memory. */
  memoryRead: Counts;
  /** A read answered by the entity's document in KV. */
  kvRead: Counts;
  /** A read that KV misses: D1 answers, and the writer fills KV behind the answer. */
  missRead: Counts;
  /** A write of an entity without a document in KV, nothing else being written. */
  write: Counts;
  /** The same, many clients at a time: writes share batches. */
  groupedWrite: Counts;
  /** One entity of a request to `/items/batch`. */
  batchEntry: Counts;
  /** What a write costs more when the entity has a document. */
  documentPut: Counts;
  /** What it costs to send metrics once; an isolate with traffic sends every two seconds, and after each batch of messages. */
  metricsFlush: Counts;
  /** Bytes of an entity's current values in D1, and of the history that each write adds. */
  currentBytesPerEntity: number;
  historyBytesPerWrite: number;
  /** Bytes of an entity's document in KV. */
  documentBytes: number;
  shape: Shape;
}

/** Requests of each kind. */
const REQUESTS = 20;

export async function measure(state: string, shape: Shape): Promise<Measured> {
  const service = await startCounted(state, shape);
  try {
    return await drive(service, shape);
  } finally {
    await service.end();
  }
}

async function drive(service: CountedService, shape: Shape): Promise<Measured> {
  const { clients, batch } = shape;
  const named = (kind: string, count = REQUESTS) => Array.from({ length: count }, (_, i) => `${kind}-${i}`);
  const [alone, read] = [named("alone"), named("read")];
  const [grouped, bulk] = [named("grouped", clients * 4), named("bulk", batch)];
  const groups = [alone, read, grouped, bulk];
  // Events of a write share a message with those of the next, if that comes before they have left.
  const writeAlone = async (id: string) => {
    await service.write(id);
    await sleep(2 * OUTBOX_PAUSE_MS);
  };
  const { d1Bytes: emptyBytes } = await service.counts(() => service.writeBatch(["first"]), QUIET_MS);
  // First writes make rows that later ones replace: what is counted is the later ones.
  const first = await service.counts(async () => {
    for (const some of groups) await service.writeBatch(some);
  }, QUIET_MS);
  const write = await service.each(alone, writeAlone, QUIET_MS);
  const groupedWrite = await service.together(grouped, (id) => service.write(id));
  const bulkWrite = await service.counts(() => service.writeBatch(bulk), QUIET_MS);
  const missRead = await service.each(read, (id) => service.read(id), QUIET_MS);
  const kvRead = await service.each(read, (id) => service.read(id, { "x-without-memory": "1" }), 0);
  for (const id of read) await service.read(id);
  await service.counts(async () => undefined, 0);
  const memoryRead = await service.each(read, (id) => service.read(id), 0);
  const filledWrite = await service.each(read, writeAlone, QUIET_MS);
  const entities = groups.flat().length;
  const historyBytesPerWrite =
    (bulkWrite.d1Bytes - first.d1Bytes) / (alone.length + grouped.length + bulk.length);
  return {
    memoryRead: withoutMetrics(memoryRead),
    kvRead: withoutMetrics(kvRead),
    missRead: withoutMetrics(missRead),
    write: withoutMetrics(write),
    groupedWrite: withoutMetrics(groupedWrite),
    batchEntry: withoutMetrics(scaled(bulkWrite, 1 / bulk.length)),
    documentPut: difference(withoutMetrics(filledWrite), withoutMetrics(write)),
    metricsFlush: flushOf(sum([first, bulkWrite, scaled(write, REQUESTS), scaled(missRead, REQUESTS)])),
    historyBytesPerWrite,
    currentBytesPerEntity: (first.d1Bytes - emptyBytes) / entities - historyBytesPerWrite,
    documentBytes: missRead.kvBytes / Math.max(missRead.kvWrites, 1),
    shape,
  };
}

const withoutMetrics = (counts: Counts): Counts => ({
  ...counts,
  logEvents: counts.logEvents - counts.metricsRequests,
  metricsRequests: 0,
  metricsRowsRead: 0,
  metricsRowsWritten: 0,
});

/** What one request to the object of the metrics costs. */
function flushOf({ metricsRequests, metricsRowsRead, metricsRowsWritten }: Counts): Counts {
  const own = {
    ...NOTHING,
    metricsRequests,
    metricsRowsRead,
    metricsRowsWritten,
    logEvents: metricsRequests,
  };
  return scaled(own, 1 / Math.max(metricsRequests, 1));
}

function difference(more: Counts, less: Counts): Counts {
  const both = sum([more, scaled(less, -1)]);
  return Object.fromEntries(
    Object.entries(both).map(([name, value]) => [name, Math.max(0, value)]),
  ) as unknown as Counts;
}
