/** What the platform bills of one piece of work. */
export interface Counts {
  workerRequests: number;
  /** Deliveries of messages to our own consumer. */
  consumerBatches: number;
  kvReads: number;
  kvWrites: number;
  kvDeletes: number;
  /** Characters put; the documents are nearly all ASCII. */
  kvBytes: number;
  /** Round trips. Not billed; each is what a reader waits for. */
  d1Queries: number;
  /** Of the registry; its rows are in no sum, since nobody knows here how many there are. */
  catalogQueries: number;
  d1RowsRead: number;
  d1RowsWritten: number;
  /** Size of the database; not a sum. */
  d1Bytes: number;
  objectRequests: number;
  objectRowsRead: number;
  objectRowsWritten: number;
  /** The same of the object in which metrics add up: it is asked every two seconds at most, not once a request. */
  metricsRequests: number;
  metricsRowsRead: number;
  metricsRowsWritten: number;
  /** Those of events carry many of them. */
  queueMessages: number;
  /** 64 KB of a message. */
  queueBlocks: number;
  analyticsPoints: number;
  /** Lines of Workers Logs, those of the platform about each invocation too. */
  logEvents: number;
}

export const NOTHING: Counts = {
  workerRequests: 0,
  consumerBatches: 0,
  kvReads: 0,
  kvWrites: 0,
  kvDeletes: 0,
  kvBytes: 0,
  d1Queries: 0,
  catalogQueries: 0,
  d1RowsRead: 0,
  d1RowsWritten: 0,
  d1Bytes: 0,
  objectRequests: 0,
  objectRowsRead: 0,
  objectRowsWritten: 0,
  metricsRequests: 0,
  metricsRowsRead: 0,
  metricsRowsWritten: 0,
  queueMessages: 0,
  queueBlocks: 0,
  analyticsPoints: 0,
  logEvents: 0,
};

export const names = Object.keys(NOTHING) as (keyof Counts)[];

export const scaled = (counts: Counts, factor: number): Counts =>
  Object.fromEntries(names.map((name) => [name, counts[name] * factor])) as unknown as Counts;

export const sum = (parts: readonly Counts[]): Counts =>
  Object.fromEntries(
    names.map((name) => [name, parts.reduce((total, part) => total + part[name], 0)]),
  ) as unknown as Counts;
