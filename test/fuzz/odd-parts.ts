/** Odd values for each part of a request; those for its path and its body are in `setup/hostile.ts`. */
import { SECRET } from "../setup/hostile.ts";

/** Query parameters that nobody has declared. */
export const UNKNOWN: [string, string][] = [
  ["unknown", "1"],
  ["__proto__", "x"],
  ["constructor[prototype]", "x"],
  ["entity_type[]", "a"],
];

export const BAD_HEADERS = [
  "",
  " ",
  "%00",
  "null",
  "e30=",
  "{}",
  "[]",
  "1e999",
  "9007199254740993",
  "__proto__",
  "'; DROP TABLE x; --",
  `${SECRET}-header`,
  "\u00ff\u0080",
  "x".repeat(256),
  "x".repeat(4_000),
  btoa(`{"revision":1e999,"bookmark":"${SECRET}-token"}`),
  btoa(`{"revision":"1"}`),
];

/** Headers that the operations do not declare, and that something may read all the same. */
export const OTHER_HEADERS = [
  "accept",
  "accept-encoding",
  "authorization",
  "content-encoding",
  "if-none-match",
  "if-match",
  "origin",
  "range",
  "x-api-key",
  "x-request-id",
];

export const ACCEPTED = [
  "application/x-ndjson",
  "application/vnd.apache.parquet",
  "text/html",
  "*/*;q=0",
  "text/plain",
];

/** As they stand behind the equals sign, percent signs and all. */
export const BAD_QUERIES = [
  ...[
    "",
    "%00",
    "%ff",
    "%",
    "%ED%A0%80",
    "%F0%9F%92%A5",
    "__proto__",
    "null",
    "-1",
    "0",
    "1.5",
    "1e999",
    "NaN",
  ],
  ...[
    "9007199254740993",
    "9".repeat(400),
    "true",
    "[]",
    `${SECRET}-query`,
    "x".repeat(4_000),
    "a+b",
    "%0a",
    "a%3Ab",
  ],
  "'%3B%20DROP%20TABLE%20x%3B%20--",
  btoa("{}"),
];

export const OTHER_TYPES = [
  "text/plain",
  "application/x-www-form-urlencoded",
  "application/json; charset=utf-16",
  "",
  "json",
];
