/**
 * Times are whole microseconds since 1970-01-01T00:00Z: six digits survive, arithmetic is exact, and a number
 * orders faster than a string. No I/O and no clock in here.
 */

/** Microseconds since 1970-01-01T00:00:00Z. */
export type Micros = number;

export const MICROS_PER_MS = 1_000;
export const MICROS_PER_SECOND = 1_000_000;
export const SECONDS_PER_HOUR = 3_600;

/** A duration in whole microseconds: times a million, 1.001 seconds would be a little less than they are. */
export const microsOf = (seconds: number): Micros => Math.round(seconds * MICROS_PER_SECOND);

/** The years between which a microsecond is exact in a double; also keeps the written form at one width. */
export const FIRST_YEAR = 1700;
export const LAST_YEAR = 2199;

/** What a timestamp must look like, for error messages and the API documents. */
export const TIMESTAMP_FORM = `an ISO 8601 date and time with a zone, such as 2025-10-13T09:15:51.358632+00:00, between the years ${FIRST_YEAR} and ${LAST_YEAR}`;

const DATE = /(\d{4})(?:-?(\d{2})-?(\d{2})|-?W(\d{2})-?([1-7])|-?(\d{3}))/;
const TIME = /(\d{2})(?::?(\d{2})(?::?(\d{2}))?)?(?:[.,](\d{1,30}))?/;
const ZONE = /([Zz])|([+\-\u2212])(\d{2})(?::?(\d{2}))?/;
const ISO_8601 = new RegExp(`^${DATE.source}[Tt ]${TIME.source}(?:${ZONE.source})$`);

/** Why a text is not taken for a timestamp. */
export type NoTimestamp = "no timestamp" | "no zone" | "out of range";

/** @returns null when the text is no timestamp as {@link readTimestamp} reads them. */
export function parseTimestamp(text: string): Micros | null {
  const time = readTimestamp(text);
  return typeof time === "number" ? time : null;
}

/**
 * Reads an ISO 8601 timestamp with a zone: extended or basic form, the day by month, week or number, the last part of
 * the time with a fraction. Digits past the microsecond are cut.
 */
export function readTimestamp(text: string): Micros | NoTimestamp {
  const match = ISO_8601.exec(text);
  if (!match) return ISO_8601.test(`${text}Z`) ? "no zone" : "no timestamp";
  const [, year = "", month, day, week, weekday, dayOfYear, ...rest] = match;
  const [hour, minute, second, fraction = "", utc, sign, zoneHour, zoneMinute = "0"] = rest;
  const y = Number(year);
  // `Date.UTC` takes the years 0 to 99 for 1900 to 1999. A zone may bring the end of the year before into the first.
  if (y < FIRST_YEAR - 1) return "out of range";
  const dayMs = month
    ? dayOfMonth(y, Number(month), Number(day))
    : week
      ? dayOfWeek(y, Number(week), Number(weekday))
      : dayOfNumber(y, Number(dayOfYear));
  const [h, mi, s] = [Number(hour), Number(minute ?? 0), Number(second ?? 0)];
  const isMidnight = h === 24 && mi === 0 && s === 0 && !/[1-9]/.test(fraction);
  if (dayMs === null || (h > 23 && !isMidnight) || mi > 59 || s > 59) return "no timestamp";
  const offsetMinutes = utc ? 0 : Number(zoneHour) * 60 + Number(zoneMinute);
  if (offsetMinutes >= 24 * 60 || Number(zoneMinute) > 59) return "no timestamp";
  const offsetMs = (sign === "+" ? offsetMinutes : -offsetMinutes) * 60_000;
  const unit = second ? MICROS_PER_SECOND : minute ? MICROS_PER_MINUTE : 60 * MICROS_PER_MINUTE;
  const clockMs = ((h * 60 + mi) * 60 + s) * 1_000;
  const time = (dayMs + clockMs - offsetMs) * MICROS_PER_MS + fractionOf(unit, fraction);
  const instant = new Date(Math.floor(time / MICROS_PER_MS));
  return instant.getUTCFullYear() < FIRST_YEAR || instant.getUTCFullYear() > LAST_YEAR
    ? "out of range"
    : time;
}

const MICROS_PER_MINUTE = 60 * MICROS_PER_SECOND;
const DAY_MS = 86_400_000;

/** Null for a day that the month does not have. All of these in milliseconds since 1970. */
function dayOfMonth(year: number, month: number, day: number): number | null {
  const ms = Date.UTC(year, month - 1, day);
  const date = new Date(ms);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? ms : null;
}

/** A week belongs to the year of its Thursday; the first one has the fourth of January in it. */
function dayOfWeek(year: number, week: number, weekday: number): number | null {
  const fourth = Date.UTC(year, 0, 4);
  const monday = fourth - ((new Date(fourth).getUTCDay() + 6) % 7) * DAY_MS + (week - 1) * 7 * DAY_MS;
  const isOfYear = new Date(monday + 3 * DAY_MS).getUTCFullYear() === year;
  return isOfYear ? monday + (weekday - 1) * DAY_MS : null;
}

function dayOfNumber(year: number, number: number): number | null {
  const ms = Date.UTC(year, 0, number);
  return number > 0 && new Date(ms).getUTCFullYear() === year ? ms : null;
}

/** @param digits Those behind the decimal point. */
function fractionOf(unit: Micros, digits: string): Micros {
  if (digits === "") return 0;
  if (unit === MICROS_PER_SECOND) return Number(digits.slice(0, 6).padEnd(6, "0"));
  return Number((BigInt(digits) * BigInt(unit)) / 10n ** BigInt(digits.length));
}

/** The millisecond that was written last, and its text: times written one after the other mostly share it. */
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

/** As {@link formatTimestamp}; null stays null. */
export function timestampOrNull(time: Micros | null): string | null {
  return time === null ? null : formatTimestamp(time);
}

/** The wall clock as microseconds. */
export function nowMicros(): Micros {
  return Date.now() * MICROS_PER_MS;
}
