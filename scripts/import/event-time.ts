/** When the values of a row became true, by what stands in its column of times. Pure. */
import { kindOf, rawDigits } from "../../worker/json.ts";
import {
  FIRST_YEAR,
  formatTimestamp,
  LAST_YEAR,
  type Micros,
  readTimestamp,
} from "../../worker/timestamps.ts";
import { BadCell } from "./records.ts";

/** Decimal places from a unit to the nanosecond. */
const TO_NANOS = { s: 9, ms: 6, us: 3, ns: 0 } as const;
export type TimeUnit = keyof typeof TO_NANOS;
export const TIME_UNITS = Object.keys(TO_NANOS) as TimeUnit[];

export interface TimeReading {
  /** Of numbers, which count from 1970-01-01T00:00Z; null: there are none. */
  unit: TimeUnit | null;
  /** Of times without one, such as `+00:00`; null: there are none. */
  zone: string | null;
}

const OUT_OF_RANGE = `is not between the years ${FIRST_YEAR} and ${LAST_YEAR}`;

/** @throws BadCell that says what it is instead. */
export function eventTime(value: unknown, { unit, zone }: TimeReading): Micros {
  if (value === null || value === undefined || value === "") throw new BadCell("is empty");
  const digits = typeof value === "number" ? String(value) : (rawDigits(value) ?? value);
  if (typeof digits !== "string") throw new BadCell(`must be a time, found ${kindOf(value)}`);
  const isNumber = NUMBER.exec(digits);
  if (unit && isNumber) return countedTime(isNumber, unit);
  if (unit) throw new BadCell("is not a number, as --timestamp-unit says");
  const text = zonedText(digits, zone);
  const time = readTimestamp(text);
  if (typeof time === "number") return time;
  if (isNumber) throw new BadCell(`is a number: --timestamp-unit says of what (${TIME_UNITS.join(", ")})`);
  if (time === "out of range") throw new BadCell(OUT_OF_RANGE);
  if (time === "no zone" || DATE.test(digits)) {
    throw new BadCell("is a time without a zone: --zone says which, such as --zone +00:00 for UTC");
  }
  throw new BadCell("is not an ISO 8601 date and time");
}

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?$/;
const DATE = /^\d{4}-\d\d-\d\d$/;

/** A date is its first moment; BigQuery writes UTC as a word. */
function zonedText(text: string, zone: string | null): string {
  if (text.endsWith(" UTC")) return `${text.slice(0, -4)}Z`;
  if (zone === null) return text;
  const withTime = DATE.test(text) ? `${text}T00:00:00` : text;
  return readTimestamp(withTime) === "no zone" ? withTime + zone : text;
}

/** Whole microseconds; what is finer is cut, as in a text. */
function countedTime([, sign, whole = "", fraction = ""]: RegExpExecArray, unit: TimeUnit): Micros {
  const places = TO_NANOS[unit];
  if (whole.length + places > 24) throw new BadCell(OUT_OF_RANGE);
  const nanos = BigInt(whole + fraction.slice(0, places).padEnd(places, "0"));
  return microsOfNanos(sign === "-" ? -nanos : nanos);
}

/** @throws BadCell for what no time of the store can be. */
export function microsOfNanos(nanos: bigint): Micros {
  const micros = Number((nanos - (((nanos % 1_000n) + 1_000n) % 1_000n)) / 1_000n);
  if (readTimestamp(textOf(micros)) !== micros) throw new BadCell(OUT_OF_RANGE);
  return micros;
}

const MAX_DATE_MICROS = 8_640_000_000_000_000_000;

const textOf = (micros: Micros) => (Math.abs(micros) < MAX_DATE_MICROS ? formatTimestamp(micros) : "");
