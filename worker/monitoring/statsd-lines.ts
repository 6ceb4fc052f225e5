/**
 * From records to lines of StatsD. Pure.
 *
 *   name:value|c|#tag:value,tag:value       name:milliseconds|ms|@rate|#tag:value
 *
 * Names and tags are those of system A (`http.request.count`, …; `d1.get_item` was `dynamodb.get_item`, `queue.publish`
 * `kafka.publish`); an operation is counted under its name and timed under `<name>.duration`, since a series of Datadog
 * has one type. Tags are `endpoint` (the route's pattern), `method`, `status` and `entity_type`, all out of fixed lists.
 *
 * DogStatsD's form of tags was chosen because StatsD 0.9 reads it too, as Graphite's tags. There it stands behind the
 * value, so that a colon in it ends no name; the separators of both are taken out of every text all the same.
 */
import { STATSD_MAX_NAME_CHARACTERS } from "../limits.ts";
import type { MetricRecord } from "./metric-record.ts";

export interface LineOptions {
  /** Before every name, with a point; empty: none. */
  prefix: string;
  tags: "datadog" | "none";
}

/** Records that differ in nothing but their time. */
interface StatsdSeries {
  /** Any one of them. */
  record: MetricRecord;
  count: number;
  /** Milliseconds: of all of them, or of so many drawn by chance. */
  samples: readonly number[];
}

/** The same for the records of one series, so that they are counted together. */
export function seriesKey(record: MetricRecord): string {
  if (record.kind === "operation") return `${record.operation}\t${record.outcome}`;
  const { endpoint, method, status, entityType } = record;
  return `${method}\t${endpoint}\t${status}\t${entityType}`;
}

export function linesOf(series: StatsdSeries, options: LineOptions): string[] {
  const { record, count } = series;
  const tags = tagsOf(record, options);
  const named = (name: string) => metricName(name, options);
  const counters = countersOf(record).map((name) => `${named(name)}:${count}|c${tags}`);
  const durations = timersOf(record).flatMap((name) => durationLines(named(name), series, tags));
  return [...counters, ...durations];
}

/** Records that found no room. */
export const droppedLine = (count: number, options: LineOptions): string =>
  `${metricName("statsd.dropped", options)}:${count}|c`;

const countersOf = (record: MetricRecord): string[] =>
  record.kind === "request"
    ? ["http.request.count", `http.response.${record.status}`, record.operation]
    : [record.operation];

const timersOf = ({ kind, operation }: MetricRecord): string[] =>
  kind === "request" ? ["http.request.duration", `${operation}.duration`] : [`${operation}.duration`];

function durationLines(name: string, { samples, count }: StatsdSeries, tags: string): string[] {
  const rate = samples.length < count ? `|@${plainDecimal(samples.length / count)}` : "";
  return samples.map((ms) => `${name}:${ms}|ms${rate}${tags}`);
}

/** Servers read digits and a point: no exponent. */
function plainDecimal(rate: number): string {
  const text = String(rate);
  return text.includes("e") ? rate.toFixed(20) : text;
}

function tagsOf(record: MetricRecord, { tags }: LineOptions): string {
  if (tags === "none") return "";
  const pairs: [string, string | number][] =
    record.kind === "request"
      ? [
          ["endpoint", record.endpoint],
          ["method", record.method],
          ["status", record.status],
          ["entity_type", record.entityType],
        ]
      : [["status", record.outcome]];
  // A tag without a value is refused by some servers.
  const texts = pairs.flatMap(([name, value]) =>
    value === "" ? [] : [`${name}:${tagValue(String(value))}`],
  );
  return `|#${texts.join(",")}`;
}

function metricName(name: string, { prefix }: LineOptions): string {
  const whole = [...prefix.split("."), ...name.split(".")].filter(Boolean).join(".");
  return whole.replaceAll(/[^\w.-]/g, "_").slice(0, STATSD_MAX_NAME_CHARACTERS);
}

/** Printable ASCII without the separators of StatsD, of DogStatsD and of Graphite's tags. */
const tagValue = (value: string): string =>
  value.replaceAll(/[^!-~]|[:|@#,;=]/g, "_").slice(0, STATSD_MAX_NAME_CHARACTERS);
