/** What an import has found and done, as text. Pure. */
import type { CellKinds } from "./csv-values.ts";
import type { Input } from "./inputs.ts";
import { type Mapping, neededColumns } from "./row-to-write.ts";
import type { Tally } from "./tally.ts";

/** Reasons that are shown; the file of `--rejects` has all of them. */
const SHOWN_REASONS = 10;

const INTENT = { merge: "to be merged into", replace: "each to replace what is in" };

/** Characters. Names and texts of a damaged file can be of any length, and hold what a terminal would obey. */
const LONGEST_LINE = 2_000;

export function oneLine(text: string): string {
  const line = text.replace(/\p{Cc}/gu, "\ufffd");
  return line.length > LONGEST_LINE ? `${line.slice(0, LONGEST_LINE)}…` : line;
}

/** What will be written, as far as the files say it before their rows are read. */
export function planText(
  inputs: readonly Input[],
  mapping: Mapping,
  { kinds, types }: { kinds: CellKinds; types: ReadonlyMap<string, string> },
): string {
  const needed = neededColumns(mapping);
  const rows = inputs.reduce((sum, { contents }) => sum + contents.records, 0);
  const isCsv = new Set(inputs.flatMap(({ format, contents }) => (format === "csv" ? contents.columns : [])));
  const all = [...new Set(inputs.flatMap(({ contents }) => contents.columns))];
  const features = mapping.features ?? all.filter((name) => !needed.includes(name));
  const described = features.map((name) => {
    const type = isCsv.has(name) ? (types.get(name) ?? kinds.get(name) ?? "empty") : null;
    return type ? `${name} (${type})` : name;
  });
  const files = inputs.length === 1 ? inputs[0]?.path : `${inputs.length} files`;
  return oneLine(
    `${files}: ${count(rows, "row")} of ${mapping.entityType}, ${INTENT[mapping.mode]} ${mapping.category}: ${described.join(", ")}`,
  );
}

export function summaryText(tally: Tally, { seconds, unitOf }: SummaryOptions): string {
  const { applied, stale, duplicate } = tally.outcomes;
  const perSecond = Math.round(tally.read / Math.max(seconds, 0.001));
  const lines = [
    `${count(tally.read, "row")} in ${seconds.toFixed(1)} s: ${perSecond} a second.`,
    `Written: ${applied} became current, ${stale} were older than that and are in the history (unless deleted since), ${duplicate} were current already.`,
  ];
  return [...lines, ...leftOut(tally, unitOf)].join("\n");
}

interface SummaryOptions {
  seconds: number;
  /** `line` or `row`. */
  unitOf: (file: string) => string;
}

export function dryRunText(tally: Tally, requests: number, unitOf: SummaryOptions["unitOf"]): string {
  const would = `${count(tally.read, "row")} read, nothing written: ${tally.outcomes.applied} would be, in ${count(requests, "request")}.`;
  return [would, ...leftOut(tally, unitOf)].join("\n");
}

function leftOut({ empty, rejected, reasons }: Tally, unitOf: SummaryOptions["unitOf"]): string[] {
  const lines = empty > 0 ? [`Without a value: ${empty}.`] : [];
  if (rejected === 0) return lines;
  const most = [...reasons].sort(([, a], [, b]) => b.count - a.count);
  const shown = most.slice(0, SHOWN_REASONS).map(([reason, { count: times, first }]) => {
    return `  ${times} × ${oneLine(reason)} (first in ${first.file}, ${unitOf(first.file)} ${first.place})`;
  });
  const others = most.length > shown.length ? [`  and ${most.length - shown.length} other reasons`] : [];
  return [...lines, `Rejected: ${rejected}`, ...shown, ...others];
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
