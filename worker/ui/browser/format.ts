/** Values and times in words for people. Pure. */
import { rawDigits } from "../../json.ts";

const STEPS = [
  [60, "s"],
  [60, "min"],
  [24, "h"],
  [Number.POSITIVE_INFINITY, "days"],
] as const;

/** A span of time in its largest unit: `42 s`, `3 min`, `5 h`, `12 days`. Negative spans are to come. */
export function span(seconds: number): string {
  let amount = Math.abs(seconds);
  for (const [size, unit] of STEPS) {
    if (amount < size) {
      const shown = `${Math.floor(amount)} ${unit === "days" && Math.floor(amount) === 1 ? "day" : unit}`;
      return seconds < 0 ? `in ${shown}` : shown;
    }
    amount /= size;
  }
  return "";
}

const LARGER_UNITS = [
  [86_400, "days"],
  [3_600, "h"],
  [60, "min"],
] as const;

/** A span of time with nothing left out, in the largest unit that divides it: `1 day`, `36 h`, `90 s`, `0.5 s`. */
export function exactSpan(seconds: number): string {
  const [size, unit] = LARGER_UNITS.find(([size]) => seconds % size === 0) ?? [1, "s"];
  const amount = seconds / size;
  return `${amount} ${unit === "days" && amount === 1 ? "day" : unit}`;
}

/** `5 min ago`, or `in 5 min` for what is to come. */
export function age(seconds: number): string {
  return seconds < 0 ? span(seconds) : `${span(seconds)} ago`;
}

/** `2026-10-13T09:15:51.358632+00:00` → `2026-10-13 09:15:51 UTC`. */
export function moment(timestamp: string): string {
  return `${timestamp.slice(0, 10)} ${timestamp.slice(11, 19)} UTC`;
}

/** A number as a reader needs it: an integer with all digits, `12,345`; anything else with a few, `0.0123`. */
export function number(value: Numeric | null): string {
  if (value === null) return "–";
  if (typeof value !== "number") return BigInt(rawDigits(value) ?? 0).toLocaleString("en");
  return Number.isInteger(value) ? BigInt(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
}

/** A number of an answer: beyond 2^53 an object that holds its digits. */
export type Numeric = number | object;

/** A feature's value as JSON, an int64 with every digit. */
export function json(value: unknown, indent?: number): string {
  return rawDigits(value) ?? JSON.stringify(value, null, indent);
}

/** Of the version that the bare name means; of drafts alone the newest's. */
export function dtypeOf({
  dtype,
  versions,
}: {
  dtype: string | null;
  versions: readonly { dtype: string }[];
}): string {
  return dtype ?? versions.at(-1)?.dtype ?? "–";
}

const HOUR_MS = 3_600_000;

interface Bar {
  /** The hour's beginning. */
  hour: string;
  values: number;
  /** Of the chart's height, from 0 to 1: all values, and the nulls among them. */
  height: number;
  nulls: number;
}

/**
 * The last hours as bars, the hours without values among them.
 *
 * @param hours Those that have values, as the API answers them.
 * @param now The last of the bars is the hour of this time.
 */
export function bars(
  hours: readonly { hour: string; values: number; nulls: number }[],
  now: string,
  count = 24,
): Bar[] {
  const most = Math.max(1, ...hours.map(({ values }) => values));
  const found = new Map(hours.map((each) => [Date.parse(each.hour), each]));
  const last = Math.floor(Date.parse(now) / HOUR_MS) * HOUR_MS;
  return Array.from({ length: count }, (_, i) => {
    const start = last - (count - 1 - i) * HOUR_MS;
    const { values = 0, nulls = 0 } = found.get(start) ?? {};
    return { hour: new Date(start).toISOString(), values, height: values / most, nulls: nulls / most };
  });
}

/** A command to paste; the body is quoted for a shell. */
export function curl(origin: string, path: string, body: unknown, isKeyNeeded: boolean): string {
  const key = isKeyNeeded ? ' -H "X-API-Key: $API_KEY"' : "";
  const quoted = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl -X POST "${origin}/api/v1${path}" \\\n  -H "Content-Type: application/json"${key} \\\n  -d '${quoted}'`;
}
