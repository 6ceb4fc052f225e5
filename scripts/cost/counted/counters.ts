/** The counters of this isolate. All of the service runs in one here, its Durable Objects too. */
import { type Counts, NOTHING } from "../counts.ts";

/** Whose storage: the object in which metrics add up is counted apart. */
export type Group = "object" | "metrics";

type Cursor = SqlStorageCursor<Record<string, SqlStorageValue>>;

let counts: Counts = { ...NOTHING };
/** Rows of a cursor are known when it has been read to its end: they are looked at when the counters are read. */
let cursors: { group: Group; cursor: Cursor }[] = [];
/** Work behind answers that is under way; the counters are complete when there is none. */
let underWay = 0;
/** Messages that were sent and have not been delivered. */
let undelivered = 0;

export function add(what: keyof Counts, amount = 1): void {
  counts[what] += amount;
}

export function setDatabaseBytes(bytes: number): void {
  counts.d1Bytes = bytes;
}

export function noteCursor(group: Group, cursor: Cursor): void {
  cursors.push({ group, cursor });
}

export async function tracked<T>(work: () => T | Promise<T>): Promise<T> {
  underWay += 1;
  try {
    return await work();
  } finally {
    underWay -= 1;
  }
}

export function noteSent(messages: number): void {
  undelivered += messages;
}

/** A message that is delivered again was delivered before. */
export function noteDelivered(messages: number): void {
  undelivered = Math.max(0, undelivered - messages);
}

/** What was counted since the last time. */
export function takeCounts(): { counts: Counts; underWay: number } {
  for (const { group, cursor } of cursors) {
    add(`${group}RowsRead`, cursor.rowsRead);
    add(`${group}RowsWritten`, cursor.rowsWritten);
  }
  cursors = [];
  const taken = counts;
  counts = { ...NOTHING, d1Bytes: taken.d1Bytes };
  return { counts: taken, underWay: underWay + undelivered };
}
