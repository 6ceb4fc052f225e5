/** What `npm run cost` prints. Pure. */
import type { Bill } from "./bill.ts";
import type { Counts } from "./counts.ts";
import type { Measured } from "./measure.ts";

const COLUMNS: [keyof Counts, string][] = [
  ["kvReads", "KV reads"],
  ["kvWrites", "KV writes"],
  ["d1Queries", "D1 queries"],
  ["d1RowsRead", "rows read"],
  ["d1RowsWritten", "rows written"],
  ["objectRequests", "object requests"],
  ["objectRowsWritten", "object rows"],
  ["queueMessages", "messages"],
  ["analyticsPoints", "points"],
  ["logEvents", "log lines"],
];

/** Operations of one request of each kind, as a Markdown table. */
export function operationsTable(measured: Measured): string {
  const { categories, features, clients, batch } = measured.shape;
  const rows: [string, Counts][] = [
    ["read, from memory", measured.memoryRead],
    ["read, from KV", measured.kvRead],
    ["read, KV misses", measured.missRead],
    [`write of ${categories} × ${features}`, measured.write],
    [`… of ${clients} clients at a time`, measured.groupedWrite],
    [`… in a batch of ${batch}`, measured.batchEntry],
    ["… more with a document", measured.documentPut],
  ];
  return table([
    ["", ...COLUMNS.map(([, title]) => title)],
    ...rows.map(([title, counts]) => [title, ...COLUMNS.map(([name]) => rounded(counts[name]))]),
  ]);
}

/** Dollars by product, those of no cost left out. */
export function billTable(bill: Bill): string {
  const rows = bill.lines
    .filter(({ used }) => used > 0)
    .map(({ product, unit, used, included, dollars, billed }) => [
      product,
      unit,
      amount(used),
      amount(included),
      billed ? money(dollars) : `(${money(dollars)})`,
    ]);
  return table([
    ["product", "unit", "a month", "included", "dollars"],
    ["Subscription", "", "", "", money(bill.products.Subscription ?? 0)],
    ...rows,
    ["total", "", "", "", money(bill.total)],
  ]);
}

export const money = (dollars: number) => (dollars === 0 ? "0" : dollars.toFixed(dollars < 100 ? 2 : 0));

function rounded(value: number): string {
  return value === 0 ? "0" : String(Number(value.toPrecision(2)));
}

function amount(value: number): string {
  for (const [size, letter] of [
    [1e9, " B"],
    [1e6, " M"],
    [1e3, " k"],
  ] as const) {
    if (value >= size) return `${Number((value / size).toPrecision(3))}${letter}`;
  }
  return String(Number(value.toPrecision(3)));
}

function table(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? "").length)));
  const line = (row: string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = rows;
  return [line(head), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...body.map(line)].join(
    "\n",
  );
}
