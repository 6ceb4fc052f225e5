import { expect, test } from "vitest";
import { preferredType } from "../../worker/http/accept.ts";

const OFFERED = ["application/json", "application/x-ndjson", "application/vnd.apache.parquet"] as const;

test.each([
  [undefined, "application/json"],
  ["", "application/json"],
  ["*/*", "application/json"],
  ["text/html", "application/json"],
  ["application/x-ndjson", "application/x-ndjson"],
  ["Application/X-NDJSON; charset=utf-8", "application/x-ndjson"],
  ["application/vnd.apache.parquet, */*", "application/vnd.apache.parquet"],
  ["application/vnd.apache.parquet, application/json", "application/vnd.apache.parquet"],
  ["application/json, application/vnd.apache.parquet", "application/json"],
  ["application/json, application/vnd.apache.parquet;q=0.1", "application/json"],
  ["application/json;q=0.1 , application/vnd.apache.parquet;Q=0.2", "application/vnd.apache.parquet"],
  ["application/vnd.apache.parquet;q=0, application/json", "application/json"],
  ["application/vnd.apache.parquet;q=0", "application/json"],
  ["application/vnd.apache.parquet;q=0.5, */*", "application/json"],
  ["application/vnd.apache.parquet;q=0.5, */*, application/json;q=0", "application/vnd.apache.parquet"],
  ["application/vnd.apache.parquet;q=much", "application/json"],
  ["application/vnd.apache.parquet2, xapplication/x-ndjson", "application/json"],
])("of %o it is %s", (accept, wanted) => {
  expect(preferredType(accept, OFFERED)).toBe(wanted);
});
