/**
 * Parquet values as JSON, by the schema of their column. What hyparquet would round (microseconds, decimals, JSON with
 * large integers) it is asked for as it stands in the file; the rest is done here. Pure.
 */
import type { ParquetParsers, SchemaElement, SchemaTree } from "hyparquet";
import { isListLike, isMapLike } from "hyparquet/src/schema.js";
import { NumberOutOfRange, parseJson, rawNumber } from "../../worker/json.ts";
import { formatTimestamp, parseTimestamp } from "../../worker/timestamps.ts";
import { microsOfNanos } from "./event-time.ts";
import { BadCell } from "./records.ts";
import { decode } from "./text.ts";

type ToJson = (value: unknown) => unknown;

export interface ValueOptions {
  /** Of timestamps that are not in UTC, such as `+00:00`; null: they are left as texts without one. */
  zone: string | null;
  /** Columns of texts that hold JSON, as the files of this store name them. */
  jsonColumns: ReadonlySet<string>;
}

const asItIs = <T>(value: T) => value;

/** Bytes that are no UTF-8 stay bytes: hyparquet's own decoder would put other characters for them. */
function textOrBytes(bytes: Uint8Array): unknown {
  try {
    return bytes && decode(bytes);
  } catch {
    return bytes;
  }
}

/** What hyparquet is to make of values: as little as it can. */
export const RAW: Partial<ParquetParsers> = {
  timestampFromMilliseconds: asItIs,
  timestampFromMicroseconds: asItIs,
  timestampFromNanoseconds: asItIs,
  dateFromDays: asItIs,
  jsonFromBytes: asItIs,
  stringFromBytes: textOrBytes,
};

/** The schema as it is read with: a decimal is its digits, not their product with a power of ten in float64. */
export function rawSchema(schema: readonly SchemaElement[]): SchemaElement[] {
  return schema.map((element) => {
    if (!isDecimal(element)) return element;
    const { converted_type: _, logical_type: __, ...plain } = element;
    return plain;
  });
}

/** Beyond these no program writes anything, and what is written of them would fill the memory. */
const MAX_SCALE = 1_000;
const MAX_DEPTH = 100;

/** Types that have no JSON; null: it has one. */
export function unreadable({ element, children, path }: SchemaTree): string | null {
  const { converted_type: type = "", scale = 0 } = element;
  if (["BSON", "INTERVAL"].includes(type)) return type;
  if (isDecimal(element) && !(scale >= 0 && scale <= MAX_SCALE)) return `DECIMAL with the scale ${scale}`;
  if (path.length > MAX_DEPTH) return `of more than ${MAX_DEPTH} nested ones`;
  return children.map(unreadable).find((inner) => inner !== null) ?? null;
}

/** @returns what makes JSON of a column's values. It throws {@link BadCell} for one that has none. */
export function toJsonOf(column: SchemaTree, options: ValueOptions): ToJson {
  const isJson = options.jsonColumns.has(column.element.name);
  const inner = isJson ? jsonOf : jsonFor(column, options);
  return (value) => (value === null || value === undefined ? null : inner(value));
}

function jsonFor(node: SchemaTree, options: ValueOptions): ToJson {
  const [child] = node.children;
  if (!child) return listOr(leafOf(node.element, options.zone));
  if (isListLike(node)) {
    const [only, ...others] = child.children;
    const element = only && others.length === 0 ? only : child;
    return listOr(nullOr(jsonFor(element, options)));
  }
  const isMap = isMapLike(node);
  const members = isMap ? child.children.filter(({ element }) => element.name === "value") : node.children;
  const inner = new Map(members.map((member) => [member.element.name, nullOr(jsonFor(member, options))]));
  const ofMember = (name: string) => inner.get(isMap ? "value" : name) ?? anyValue;
  return listOr((value) =>
    Object.fromEntries(Object.entries(value as object).map(([name, one]) => [name, ofMember(name)(one)])),
  );
}

const nullOr = (inner: ToJson) => (value: unknown) =>
  value === null || value === undefined ? null : inner(value);

/** A repeated field without the annotation of a list is an array all the same. */
const listOr =
  (inner: ToJson): ToJson =>
  (value) =>
    Array.isArray(value) ? value.map(nullOr(inner)) : inner(value);

function leafOf(element: SchemaElement, zone: string | null): ToJson {
  const { converted_type: converted, logical_type: logical, type } = element;
  if (isDecimal(element)) return (value) => decimalOf(value, element.scale ?? 0);
  if (type === "INT96") return (value) => formatTimestamp(microsOfNanos(value as bigint));
  if (converted === "DATE" || logical?.type === "DATE") return dateOf;
  if (converted === "JSON" || logical?.type === "JSON") return jsonOf;
  if (logical?.type === "TIMESTAMP") return timestampOf(logical.unit, logical.isAdjustedToUTC ? "UTC" : zone);
  if (converted === "TIMESTAMP_MILLIS") return timestampOf("MILLIS", "UTC");
  if (converted === "TIMESTAMP_MICROS") return timestampOf("MICROS", "UTC");
  if (logical?.type === "TIME") return timeOf(logical.unit);
  if (converted === "TIME_MILLIS") return timeOf("MILLIS");
  if (converted === "TIME_MICROS") return timeOf("MICROS");
  return anyValue;
}

const isDecimal = ({ converted_type, logical_type }: SchemaElement) =>
  converted_type === "DECIMAL" || logical_type?.type === "DECIMAL";

const NANOS = { MILLIS: 1_000_000n, MICROS: 1_000n, NANOS: 1n } as const;
type Unit = keyof typeof NANOS;

/** @param zone `UTC`: the value is in it; null: it is in none, and stays so. */
function timestampOf(unit: Unit, zone: string | null): ToJson {
  return (value) => {
    const text = formatTimestamp(microsOfNanos(BigInt(value as bigint) * NANOS[unit]));
    if (zone === "UTC") return text;
    const local = text.slice(0, -"+00:00".length);
    if (zone === null) return local;
    const time = parseTimestamp(local + zone);
    return time === null ? local : formatTimestamp(time);
  };
}

const DAY_NANOS = 86_400_000_000_000n;

function dateOf(days: unknown): string {
  return formatTimestamp(microsOfNanos(BigInt(days as number) * DAY_NANOS)).slice(0, "2026-01-01".length);
}

/** Of the day: that of the first one since 1970, without its date and zone. */
function timeOf(unit: Unit): ToJson {
  return (value) =>
    formatTimestamp(microsOfNanos(BigInt(value as bigint) * NANOS[unit])).slice("1970-01-01T".length, -6);
}

/** A whole number exactly, any other as the nearest float64. */
function decimalOf(value: unknown, scale: number): unknown {
  const unscaled = value instanceof Uint8Array ? signedOf(value) : BigInt(value as bigint);
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, "0");
  const point = digits.length - scale;
  const sign = unscaled < 0n ? "-" : "";
  const isWhole = !/[1-9]/.test(digits.slice(point));
  return isWhole
    ? numberOf(BigInt(sign + digits.slice(0, point)))
    : Number(`${sign}${digits.slice(0, point)}.${digits.slice(point)}`);
}

function signedOf(bytes: Uint8Array): bigint {
  return bytes.length === 0
    ? 0n
    : BigInt.asIntN(bytes.length * 8, BigInt(`0x${Buffer.from(bytes).toString("hex")}`));
}

function jsonOf(value: unknown): unknown {
  const text = value instanceof Uint8Array ? decode(value) : value;
  if (typeof text !== "string") return anyValue(value);
  try {
    return parseJson(text);
  } catch (cause) {
    throw new BadCell(
      cause instanceof NumberOutOfRange ? "has a number beyond the range of float64" : "is not JSON",
    );
  }
}

function numberOf(value: bigint): unknown {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : rawNumber(String(value));
}

/** NaN is what programs write for no value: it is null. Infinity is no number in JSON. */
function anyValue(value: unknown): unknown {
  if (typeof value === "bigint") return numberOf(value);
  if (typeof value === "number" && !Number.isFinite(value)) {
    if (Number.isNaN(value)) return null;
    throw new BadCell(`is ${value}, which JSON does not have`);
  }
  if (value instanceof Uint8Array) return decode(value);
  if (value instanceof Date) return formatTimestamp(microsOfNanos(BigInt(value.getTime()) * NANOS.MILLIS));
  if (Array.isArray(value)) return value.map(nullOr(anyValue));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, nullOr(anyValue)(one)]));
}
