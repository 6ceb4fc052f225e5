/** The types of registered features, and whether a value is of one. Pure. */
import type { Dtype, ScalarDtype } from "../db/column-values.ts";
import { kindOf, rawDigits, rawNumber } from "../json.ts";
import { FIRST_YEAR, formatTimestamp, LAST_YEAR, type NoTimestamp, readTimestamp } from "../timestamps.ts";

/** The value as it is stored, or what it was instead. Null is of every type: it says that there is no value. */
type Conformed = { ok: true; value: unknown } | { ok: false; found: string };

export function conform(dtype: Dtype, value: unknown): Conformed {
  if (value === null) return { ok: true, value };
  const element = /^array<(.+)>$/.exec(dtype)?.[1] as ScalarDtype | undefined;
  if (!element) return conformScalar(dtype as ScalarDtype, value);
  if (!Array.isArray(value)) return { ok: false, found: kindOf(value) };
  const elements: unknown[] = [];
  for (const [position, inner] of value.entries()) {
    const checked = conformScalar(element, inner);
    if (!checked.ok) return { ok: false, found: `${checked.found} at position ${position}` };
    elements.push(checked.value);
  }
  return { ok: true, value: elements };
}

function conformScalar(dtype: ScalarDtype, value: unknown): Conformed {
  switch (dtype) {
    case "json":
      return { ok: true, value };
    case "string":
      return typeof value === "string" ? { ok: true, value } : mismatch(value);
    case "boolean":
      return typeof value === "boolean" ? { ok: true, value } : mismatch(value);
    case "int64":
      return conformInteger(value);
    case "timestamp":
      return conformTimestamp(value);
    default: {
      const digits = rawDigits(value);
      const number = digits === null ? value : Number(digits);
      if (typeof number !== "number") return mismatch(value);
      const fits = dtype === "float64" || Number.isFinite(Math.fround(number));
      return fits ? { ok: true, value: number } : { ok: false, found: "a number out of range" };
    }
  }
}

const FOUND: Record<NoTimestamp, string> = {
  "no timestamp": "a string that is no ISO 8601 date and time",
  "no zone": "a timestamp without a zone",
  "out of range": `a timestamp out of range, which is the years ${FIRST_YEAR} to ${LAST_YEAR}`,
};

function conformTimestamp(value: unknown): Conformed {
  if (typeof value !== "string") return mismatch(value);
  const time = readTimestamp(value);
  if (typeof time === "string") return { ok: false, found: FOUND[time] };
  return { ok: true, value: formatTimestamp(time) };
}

const MAX_INT64_CHARACTERS = 20;

/** Of the digits of a whole number; null when it is out of range. */
export function int64Of(digits: string): bigint | null {
  // Not made a BigInt when it is long: that takes time, and it cannot fit.
  if (digits.length > MAX_INT64_CHARACTERS) return null;
  const integer = BigInt(digits);
  return BigInt.asIntN(64, integer) === integer ? integer : null;
}

/** A bare number or a string of digits; kept exactly, in either form, as a bare number. */
function conformInteger(value: unknown): Conformed {
  // Digits beyond 2^53 come as raw JSON: a plain number out there was written with an exponent or a fraction.
  if (Number.isInteger(value) && !Number.isSafeInteger(value))
    return { ok: false, found: "a rounded number" };
  if (typeof value === "number" && !Number.isInteger(value))
    return { ok: false, found: "a number that is not whole" };
  const digits = typeof value === "string" ? value : (rawDigits(value) ?? integerDigits(value));
  if (digits === null) return mismatch(value);
  if (!/^-?\d+$/.test(digits)) return { ok: false, found: "a string that is no whole number" };
  const integer = int64Of(digits);
  if (integer === null) return { ok: false, found: "a number out of range" };
  const number = Number(integer);
  return { ok: true, value: Number.isSafeInteger(number) ? number : rawNumber(String(integer)) };
}

function integerDigits(value: unknown): string | null {
  return typeof value === "number" ? String(BigInt(value)) : null;
}

function mismatch(value: unknown): Conformed {
  return { ok: false, found: kindOf(value) };
}
