/** What no request should do harm with, and what no answer may show. */
import type { Place } from "./openapi.ts";

/** Stands in values that are sent, and must not stand in what is answered. */
export const SECRET = "Zq93-secret-value";

/** Words of the insides of the service, which no refusal may hold. */
export const INSIDES =
  /SQLITE|D1_ERROR|\bSELECT\b.*\bFROM\b|\bINSERT INTO\b|\bDELETE FROM\b|json_each|\.ts:\d|RangeError|TypeError/i;

export const deep = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;

/** JSON texts to put in the place of any part of a body. */
export const BAD_JSON = [
  "null",
  "true",
  `""`,
  `"${SECRET}"`,
  `["${SECRET}"]`,
  `{"k":"${SECRET}"}`,
  `{"${"k".repeat(600)}":"${SECRET}"}`,
  `"${SECRET}${"x".repeat(600)}"`,
  String.raw`"a\u0000b"`,
  String.raw`"\ud800"`,
  String.raw`{"\udfff":1}`,
  String.raw`{"a\u0007":1}`,
  `"__proto__"`,
  `{"__proto__":{"toString":1}}`,
  `{"constructor":null}`,
  `"'; DROP TABLE bright_uid; --"`,
  `"2025-10-13T09:15:51"`,
  `"2025-13-45T99:99:99Z"`,
  "0",
  "-1",
  "0.5",
  "1e308",
  "-1e999",
  "9007199254740993",
  "9".repeat(400),
  "[]",
  "{}",
  "[null]",
  "[[]]",
  deep(100),
  deep(50_000),
  `[${"null,".repeat(1_500)}null]`,
];

/** Parts of a path, percent signs and all. */
export const BAD_SEGMENTS = [
  "%00",
  "a%0ab",
  "%7f",
  "%C2%85",
  "%ff",
  "%",
  "%zz",
  "%E0%A4%A",
  "%ED%A0%80",
  "%2F",
  "..%2f..%2fetc",
  "%2e%2e%2f",
  "'%3B%20DROP%20TABLE%20bright_uid%3B%20--",
  "__proto__",
  "constructor",
  "a%3Ab",
  "*",
  "%F0%9F%98%80",
  "x".repeat(5_000),
  "%25".repeat(600),
];

const HERE = "@@here@@";

/** The body's text with `json` at the place; without it when `json` is null. */
export function changed(body: unknown, at: Place, json: string | null): string {
  const [key, ...rest] = at;
  const put = (value: unknown, [step, ...more]: Place): unknown => {
    if (step === undefined) return HERE;
    if (Array.isArray(value)) return value.map((part, i) => (i === step ? put(part, more) : part));
    const entries = Object.entries({ [step]: undefined, ...(value as object) });
    return Object.fromEntries(
      entries.flatMap(([name, part]) => {
        if (name !== step) return [[name, part]];
        return json === null && more.length === 0 ? [] : [[name, put(part, more)]];
      }),
    );
  };
  const text = JSON.stringify(key === undefined ? HERE : put(body, [key, ...rest]));
  return json === null ? text : text.replace(`"${HERE}"`, () => json);
}
