/**
 * Times are whole microseconds since 1970-01-01T00:00Z: six digits survive, arithmetic is exact, and a number
 * orders faster than a string. No I/O and no clock in here.
 */

/** Microseconds since 1970-01-01T00:00:00Z. */
export type Micros = number;

export const MICROS_PER_MS = 1_000;
export const MICROS_PER_SECOND = 1_000_000;

/** The years between which a microsecond is exact in a double; also keeps the written form at one width. */
export const FIRST_YEAR = 1700;
export const LAST_YEAR = 2199;

/** What a timestamp must look like, for error messages and the API documents. */
export const TIMESTAMP_FORM = `an ISO 8601 date and time with a zone, such as 2025-10-13T09:15:51.358632+00:00, between the years ${FIRST_YEAR} and ${LAST_YEAR}`;

const ISO_8601 =
  /^(\d{4})-?(\d{2})-?(\d{2})[Tt ](\d{2})(?::?(\d{2})(?::?(\d{2})(?:[.,](\d{1,30}))?)?)?(?:([Zz])|([+-])(\d{2})(?::?(\d{2}))?)$/;

/** Why a text is not taken for a timestamp. */
export type NoTimestamp = "no timestamp" | "no zone" | "out of range";

/** @returns null when the text is no timestamp as {@link readTimestamp} reads them. */
export function parseTimestamp(text: string): Micros | null {
  const time = readTimestamp(text);
  return typeof time === "number" ? time : null;
}

/** Reads an ISO 8601 timestamp, extended or basic form, with a zone. Digits past the microsecond are cut. */
export function readTimestamp(text: string): Micros | NoTimestamp {
  const match = ISO_8601.exec(text);
  if (!match) return ISO_8601.test(`${text}Z`) ? "no zone" : "no timestamp";
  const [
    ,
    year,
    month,
    day,
    hour,
    minute = "0",
    second = "0",
    fraction = "",
    utc,
    sign,
    zoneHour,
    zoneMinute = "0",
  ] = match;
  const clock = [
    Number(year),
    Number(month),
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  ] as const;
  const [y, mo, d, h, mi, s] = clock;
  if (h > 23 || mi > 59 || s > 59) return "no timestamp";
  // `Date.UTC` takes the years 0 to 99 for 1900 to 1999. A zone may bring the end of the year before into the first.
  if (y < FIRST_YEAR - 1) return "out of range";
  const utcMs = Date.UTC(y, mo - 1, d, h, mi, s);
  const date = new Date(utcMs);
  if (date.getUTCMonth() !== mo - 1 || date.getUTCDate() !== d) return "no timestamp";
  const offsetMinutes = utc ? 0 : Number(zoneHour) * 60 + Number(zoneMinute);
  if (offsetMinutes >= 24 * 60 || Number(zoneMinute) > 59) return "no timestamp";
  const offsetMs = (sign === "-" ? -offsetMinutes : offsetMinutes) * 60_000;
  const instant = new Date(utcMs - offsetMs);
  if (instant.getUTCFullYear() < FIRST_YEAR || instant.getUTCFullYear() > LAST_YEAR) return "out of range";
  return instant.getTime() * MICROS_PER_MS + Number(fraction.slice(0, 6).padEnd(6, "0"));
}

/** Times that are written one after the other are mostly of the same millisecond. */
let lastMs = Number.NaN;
let lastText = "";

/** Writes a time as `2025-10-13T09:15:51.358632+00:00`. */
export function formatTimestamp(time: Micros): string {
  const ms = Math.floor(time / MICROS_PER_MS);
  if (ms !== lastMs) {
    lastText = new Date(ms).toISOString().slice(0, -1);
    lastMs = ms;
  }
  return `${lastText}${String(time - ms * MICROS_PER_MS).padStart(3, "0")}+00:00`;
}

/** The wall clock as microseconds. The only place that reads it for the store. */
export function nowMicros(): Micros {
  return Date.now() * MICROS_PER_MS;
}
