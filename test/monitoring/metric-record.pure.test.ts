/** A record's way into Analytics Engine: each field in its column. */
import { describe, expect, test } from "vitest";
import {
  addOperation,
  BLOBS,
  DOUBLES,
  type MetricRecord,
  type OperationRecord,
  type RequestRecord,
  toDataPoint,
  UNKNOWN,
} from "../../worker/monitoring/metric-record.ts";
import { operationRecord } from "../../worker/monitoring/timed.ts";
import { ValueTally } from "../../worker/monitoring/value-tally.ts";

const values = Object.assign(new ValueTally(), {
  PRESENT: 21,
  NULL_VALUE: 22,
  NOT_FOUND: 23,
  OUTSIDE_MAX_AGE: 24,
});
const request: RequestRecord = {
  kind: "request",
  operation: "read.online",
  endpoint: "/api/v1/features/online",
  method: "POST",
  status: 200,
  durationMs: 12,
  entityType: "bright_uid",
  reads: { memory: 31, kv: 32, d1: 33 },
  entities: 96,
  categories: 4,
  values,
};
const operation: OperationRecord = {
  kind: "operation",
  operation: "writer.commit",
  outcome: "error",
  count: 2,
  durationMs: 50,
  longestMs: 40,
  items: 9,
  writes: { applied: 1, stale: 2, duplicate: 3, rejected: 4, deleted: 5, unacknowledged: 6 },
};

/**
 * The column of each field, written out once more: a column that moves breaks every stored query. Undefined: left out
 * of the point.
 */
const LAYOUT: Record<string, { of: [request: string | number | undefined, operation: string | number] }> = {
  blob1: { of: ["request", "operation"] },
  blob2: { of: ["read.online", "writer.commit"] },
  blob3: { of: ["/api/v1/features/online", ""] },
  blob4: { of: ["POST", ""] },
  blob5: { of: ["2xx", "error"] },
  blob6: { of: ["bright_uid", ""] },
  blob7: { of: ["d1", ""] },
  double1: { of: [1, 2] },
  double2: { of: [12, 50] },
  double3: { of: [200, UNKNOWN] },
  double4: { of: [96, UNKNOWN] },
  double5: { of: [4, UNKNOWN] },
  double6: { of: [31, UNKNOWN] },
  double7: { of: [32, UNKNOWN] },
  double8: { of: [33, UNKNOWN] },
  double9: { of: [21, UNKNOWN] },
  double10: { of: [22, UNKNOWN] },
  double11: { of: [23, UNKNOWN] },
  double12: { of: [24, UNKNOWN] },
  double13: { of: [undefined, 40] },
  double14: { of: [undefined, 9] },
  double15: { of: [undefined, 1] },
  double16: { of: [undefined, 2] },
  double17: { of: [undefined, 3] },
  double18: { of: [undefined, 4] },
  double19: { of: [undefined, 5] },
  double20: { of: [undefined, 6] },
};

function columnsOf(record: MetricRecord): Record<string, string | number> {
  const { blobs, doubles } = toDataPoint(record, "acme");
  return Object.fromEntries([
    ...blobs.map((blob, i) => [`blob${i + 1}`, blob]),
    ...doubles.map((double, i) => [`double${i + 1}`, double]),
  ]);
}

describe.each(Object.entries(LAYOUT))("%s", (column, { of: [ofRequest, ofOperation] }) => {
  test("holds its field of a request", () => expect(columnsOf(request)[column]).toBe(ofRequest));
  test("holds its field of an operation", () => expect(columnsOf(operation)[column]).toBe(ofOperation));
});

test("there are no other columns", () => {
  expect(Object.keys(columnsOf(operation))).toEqual(Object.keys(LAYOUT));
  expect(Object.keys(LAYOUT)).toEqual(expect.arrayContaining(Object.keys(columnsOf(request))));
  const { blobs, doubles } = toDataPoint(operation, "acme");
  expect([blobs.length, doubles.length]).toEqual([BLOBS.length, DOUBLES.length]);
});

test("what a request does not have is empty or -1", () => {
  const bare: RequestRecord = {
    ...request,
    entityType: "",
    reads: null,
    entities: UNKNOWN,
    categories: UNKNOWN,
    values: null,
  };
  const columns = columnsOf(bare);
  expect([columns.blob6, columns.blob7]).toEqual(["", ""]);
  expect([4, 5, 6, 7, 8, 9, 10, 11, 12].map((n) => columns[`double${n}`])).toEqual(Array(9).fill(UNKNOWN));
});

test("the index is the tenant, in 96 bytes of whole characters", () => {
  expect(toDataPoint(request, "acme").indexes).toEqual(["acme"]);
  const [cut] = toDataPoint(request, "é".repeat(100)).indexes;
  expect(cut).toBe("é".repeat(48));
  const [odd] = toDataPoint(request, `a${"é".repeat(100)}`).indexes;
  expect(odd).toBe(`a${"é".repeat(47)}`);
});

test("operations of an invocation that ended alike become one record", () => {
  const sum = operationRecord({ operation: "kv.get", outcome: "ok", durationMs: 3, items: 100 });
  addOperation(sum, operationRecord({ operation: "kv.get", outcome: "ok", durationMs: 7, items: 20 }));
  addOperation(sum, operationRecord({ operation: "kv.get", outcome: "ok", durationMs: 1 }));
  expect(sum).toMatchObject({ count: 3, durationMs: 11, longestMs: 7, items: 120, writes: null });
  addOperation(sum, { ...operation, writes: { applied: 2 } });
  addOperation(sum, { ...operation, writes: { applied: 3, stale: 1 } });
  expect(sum.writes).toEqual({ applied: 5, stale: 1 });
});
