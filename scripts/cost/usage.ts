/** From what one request costs, and how many there are, to a month's usage. Pure. */
import { RETENTION_WALKED_PER_STEP, RETENTION_WALKS_PER_RUN } from "../../worker/limits.ts";
import {
  CATALOG_FRESH_MS,
  CATALOG_WHOLE_MS,
  CRON_EVERY_MS,
  METRICS_FLUSH_MS,
  METRICS_PERSIST_MS,
} from "../../worker/timings.ts";
import { type Counts, scaled, sum } from "./counts.ts";
import type { Measured } from "./measure.ts";
import { D1_MAX_GB, type Usage } from "./prices.ts";

export const MONTH_SECONDS = 30 * 24 * 60 * 60;
const DAY_SECONDS = 24 * 60 * 60;
const GB = 1e9;
/** What a Durable Object is billed for while it is active, whatever it holds. */
const OBJECT_GB = 0.128;
/** Itself and its versions. */
const ROWS_OF_A_FEATURE = 3;
/** Of a file of the archive: half of what one run takes at once, nearly. Its rows are taken to be as large there as in D1. */
const ROWS_OF_A_FILE = 1_000;
/** A message, which carries all events of one drain of an outbox that fit, is written, read and deleted. */
const OPERATIONS_OF_A_BLOCK = 3;

export interface Traffic {
  /** A month. */
  reads: number;
  /** Entities written a month, in whatever requests. */
  writes: number;
  /** Entities that there are, all read and written alike. */
  entities: number;
}

/** What no run on one machine can tell. Each is a flag. */
export interface Assumptions {
  /** Share of reads that an isolate's memory answers. */
  memoryShare: number;
  /** Share of the other reads that KV misses; null: what follows from the documents' TTL, see {@link missShareOf}. */
  missShare: number | null;
  /** Share of writes that come through `/items/batch`, and of those that arrive together with others. */
  batchShare: number;
  groupedShare: number;
  /** `DOCUMENT_TTL_SECONDS` and `HISTORY_RETENTION_DAYS`. */
  documentTtlSeconds: number;
  historyDays: number;
  /** How long the archive keeps what leaves the history; 0: there is none. */
  archiveDays: number;
  /** CPU time of a read and of a write, in ms. */
  readCpuMs: number;
  writeCpuMs: number;
  /**
   * How long a writer is active for one D1 batch and what follows it, in ms: mostly the two seconds after which it sends
   * its metrics. Writes within that time share it.
   */
  writerActiveMs: number;
  /** Writers, tenants times `WRITER_PARTITIONS`: more than all the time they cannot be active. */
  writers: number;
  /** Isolates that have traffic at any moment. */
  isolates: number;
  /** Registered features, of two versions each: an isolate reads all of them again and again. */
  registered: number;
  /** Share of invocations whose log lines are kept (`head_sampling_rate`). */
  logShare: number;
}

export const DEFAULTS: Assumptions = {
  memoryShare: 0,
  missShare: null,
  batchShare: 0,
  groupedShare: 0,
  documentTtlSeconds: DAY_SECONDS,
  historyDays: 90,
  archiveDays: 0,
  readCpuMs: 1,
  writeCpuMs: 3,
  writerActiveMs: 2_200,
  writers: 4,
  isolates: 10,
  registered: 100,
  logShare: 1,
};

/**
 * A read misses KV when the document's TTL is over since the last fill. With reads of an entity at random times, one
 * miss is followed by as many hits as there are reads within the TTL. Traffic that prefers some entities misses less.
 */
export function missShareOf({ reads, entities }: Traffic, documentTtlSeconds: number): number {
  const readsWithinTtl = entities > 0 ? (reads / entities / MONTH_SECONDS) * documentTtlSeconds : 0;
  return 1 / (1 + readsWithinTtl);
}

export interface Month {
  usage: Usage;
  /** Share of reads beyond memory that KV misses. */
  missShare: number;
  /** What the platform would not carry so. */
  warnings: string[];
}

export function monthOf(measured: Measured, traffic: Traffic, assumed: Assumptions): Month {
  const missShare = assumed.missShare ?? missShareOf(traffic, assumed.documentTtlSeconds);
  const counts = sum([
    readsOf(measured, traffic, assumed, missShare),
    writesOf(measured, traffic, assumed, missShare),
  ]);
  const ofIsolates = (assumed.isolates * MONTH_SECONDS * 1_000) / METRICS_FLUSH_MS;
  // A batch of messages does not wait for that moment.
  const flushes = Math.min(traffic.reads + traffic.writes, ofIsolates) + counts.consumerBatches;
  const metrics = scaled(measured.metricsFlush, flushes);
  // The object adds up in its memory, and writes that down now and then.
  const writtenDown = scaled(
    measured.metricsFlush,
    Math.min(flushes, (MONTH_SECONDS * 1_000) / METRICS_PERSIST_MS),
  );
  const { categories } = measured.shape;
  const historyMonths = (assumed.historyDays * DAY_SECONDS) / MONTH_SECONDS;
  const historyBytes = traffic.writes * historyMonths * measured.historyBytesPerWrite;
  const archiveMonths = (assumed.archiveDays * DAY_SECONDS) / MONTH_SECONDS;
  const d1Gb = (traffic.entities * measured.currentBytesPerEntity + historyBytes) / GB;
  const documents = traffic.entities * (1 - missShare);
  const usage: Usage = {
    workerRequests: counts.workerRequests + counts.consumerBatches,
    cpuMs: traffic.reads * assumed.readCpuMs + traffic.writes * assumed.writeCpuMs,
    kvReads: counts.kvReads,
    kvWrites: counts.kvWrites,
    kvDeletes: counts.kvDeletes,
    kvGb: (documents * measured.documentBytes) / GB,
    d1RowsRead:
      counts.d1RowsRead +
      catalogRows(traffic, assumed) +
      walkedRows(traffic.writes * historyMonths * categories, d1Gb),
    // What retention deletes is written as well, once, when its days are over.
    d1RowsWritten: counts.d1RowsWritten + traffic.writes * categories,
    d1Gb,
    objectRequests: counts.objectRequests + metrics.metricsRequests,
    objectGbSeconds: activeSeconds(traffic, assumed, measured) * OBJECT_GB,
    objectRowsRead: counts.objectRowsRead + writtenDown.metricsRowsRead,
    objectRowsWritten: counts.objectRowsWritten + writtenDown.metricsRowsWritten,
    queueOperations: counts.queueBlocks * OPERATIONS_OF_A_BLOCK,
    archiveGb: (traffic.writes * archiveMonths * measured.historyBytesPerWrite) / GB,
    archiveWrites: assumed.archiveDays > 0 ? (traffic.writes * categories) / ROWS_OF_A_FILE : 0,
    analyticsPoints: counts.analyticsPoints,
    logEvents: (counts.logEvents + metrics.logEvents) * assumed.logShare,
  };
  return { usage, missShare, warnings: warningsOf(usage, traffic) };
}

/** One row for its stamp, now and then all of it: no more often than it grows old, and than there are requests. */
function catalogRows({ reads, writes }: Traffic, { isolates, registered }: Assumptions): number {
  const times = (everyMs: number) => Math.min(reads + writes, (isolates * MONTH_SECONDS * 1_000) / everyMs);
  return times(CATALOG_FRESH_MS) + times(CATALOG_WHOLE_MS) * registered * ROWS_OF_A_FEATURE;
}

/** Each run of the cron walks over the history, or over so much of it in each database. */
function walkedRows(historyRows: number, d1Gb: number): number {
  const walkedOfDatabase = RETENTION_WALKED_PER_STEP * RETENTION_WALKS_PER_RUN;
  return (
    ((MONTH_SECONDS * 1_000) / CRON_EVERY_MS) *
    Math.min(historyRows, Math.ceil(d1Gb / D1_MAX_GB) * walkedOfDatabase)
  );
}

function readsOf(
  measured: Measured,
  { reads }: Traffic,
  { memoryShare }: Assumptions,
  missShare: number,
): Counts {
  const beyond = reads * (1 - memoryShare);
  return sum([
    scaled(measured.memoryRead, reads * memoryShare),
    scaled(measured.kvRead, beyond * (1 - missShare)),
    scaled(measured.missRead, beyond * missShare),
  ]);
}

/** An entity has a document as often as a read of it finds one. */
function writesOf(measured: Measured, { writes }: Traffic, assumed: Assumptions, missShare: number): Counts {
  const { batchShare, groupedShare } = assumed;
  return sum([
    scaled(measured.write, writes * (1 - batchShare - groupedShare)),
    scaled(measured.groupedWrite, writes * groupedShare),
    scaled(measured.batchEntry, writes * batchShare),
    scaled(measured.documentPut, writes * (1 - missShare)),
  ]);
}

/** Seconds that writers are active: once for all writes of a batch. */
function activeSeconds({ writes }: Traffic, assumed: Assumptions, measured: Measured): number {
  const { batchShare, groupedShare, writerActiveMs, writers } = assumed;
  const alone = Math.max(measured.write.d1Queries, Number.EPSILON);
  const share = (counts: Counts) => Math.min(1, counts.d1Queries / alone);
  const batches =
    writes *
    (1 -
      batchShare -
      groupedShare +
      groupedShare * share(measured.groupedWrite) +
      batchShare * share(measured.batchEntry));
  return Math.min((batches * writerActiveMs) / 1_000, writers * MONTH_SECONDS);
}

function warningsOf({ d1Gb }: Usage, { writes }: Traffic): string[] {
  const warnings: string[] = [];
  if (d1Gb > D1_MAX_GB) {
    warnings.push(
      `${Math.round(d1Gb)} GB do not fit one D1 database, which holds ${D1_MAX_GB}: bind ${Math.ceil(d1Gb / D1_MAX_GB)} or more, or keep history for fewer days`,
    );
  }
  const perSecond = writes / MONTH_SECONDS;
  if (perSecond > 500)
    warnings.push(
      `${Math.round(perSecond)} writes a second, all the time, are more than one D1 database commits`,
    );
  return warnings;
}
