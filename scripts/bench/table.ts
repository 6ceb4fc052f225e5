/** The results as text. Pure. */
import type { Summary } from "./compare.ts";
import type { RowResult } from "./rows.ts";
import { type Goal, isMet } from "./statistics.ts";

const SIGNS = { "at least": "≥", "at most": "≤", "less than": "<" } as const;

export const goalText = (goal: Goal | null, unit: string) =>
  goal === null ? "–" : `${SIGNS[goal.bound]} ${goal.value}${unit === "×" ? "" : ` ${unit}`}`;

/** Nothing is met beside a control that does not answer as it should, nor by a service that does not. */
export const verdictOf = ({ value, goal, compared }: Pick<RowResult, "value" | "goal" | "compared">) => {
  if (goal === null) return "–";
  if (compared && [compared.ours, compared.control].some(hasFailed)) return "FAILED";
  return isMet(value, goal) ? "met" : "missed";
};

const hasFailed = ({ requestsPerSecond, failures }: Summary) =>
  requestsPerSecond === 0 || Object.keys(failures).length > 0;

const valueText = ({ value, unit }: RowResult) =>
  unit === "×" ? value.toFixed(2) : `${value.toFixed(unit === "ms" ? 0 : 1)} ${unit}`;

export function mainTable(results: readonly RowResult[]): string {
  const head = [
    "work",
    "req/s",
    "features/s",
    "p50 ms",
    "p99 ms",
    "control req/s",
    "ratio",
    "goal",
    "verdict",
  ];
  const lines = results.map((result) => {
    const { work, features, compared, goal, unit } = result;
    const ours = compared?.ours;
    return [
      work,
      ours ? count(ours.requestsPerSecond) : "",
      ours ? count(ours.requestsPerSecond * features) : "",
      ours ? ms(ours.p50) : "",
      ours ? ms(ours.p99) : "",
      compared ? count(compared.control.requestsPerSecond) : "",
      valueText(result),
      goalText(goal, unit),
      verdictOf(result),
    ];
  });
  return aligned([head, ...lines]);
}

/** Each cell: requests a second (p50/p99 in ms). */
export function levelTable(results: readonly RowResult[]): string {
  const measured = results.filter(({ levels }) => levels.length > 0);
  const names = [...new Set(measured.flatMap(({ levels }) => levels.map(({ name }) => name)))];
  const lines = measured.flatMap(({ work, levels }) => [
    [work, ...names.map((name) => levelText(levels.find((level) => level.name === name)?.ours))],
    ["  control", ...names.map((name) => levelText(levels.find((level) => level.name === name)?.control))],
  ]);
  return aligned([["req/s (p50/p99 ms)", ...names], ...lines]);
}

/** Nothing where there was no time to measure it. */
function levelText(summary: Summary | null | undefined): string {
  if (!summary) return "";
  const { requestsPerSecond, p50, p99 } = summary;
  return `${count(requestsPerSecond)} (${ms(p50)}/${ms(p99)})`;
}

/** What went wrong while measuring, and where the answers came from. */
export function remarks(results: readonly RowResult[]): string[] {
  return results.flatMap(({ work, compared, levels, note, against }) => {
    const all = [...(compared ? [compared] : []), ...levels];
    const failed = (of: "ours" | "control") =>
      shares(
        all.map((each) => each[of]?.failures ?? {}),
        false,
      );
    const sources = shares(compared ? [compared.ours.sources] : [], true);
    return [
      ...(against
        ? [
            `${work}: control is ${against}${note ? `; ${note}` : ""}${sources && `; answers from ${sources}`}`,
          ]
        : []),
      ...(["ours", "control"] as const).flatMap((of) =>
        failed(of) ? [`${work}: FAILED ${of}: ${failed(of)}`] : [],
      ),
    ];
  });
}

function shares(counts: readonly Record<string, number>[], asShare: boolean): string {
  const total = new Map<string, number>();
  for (const each of counts)
    for (const [name, n] of Object.entries(each)) total.set(name, (total.get(name) ?? 0) + n);
  const sum = [...total.values()].reduce((a, b) => a + b, 0);
  return [...total]
    .map(([name, n]) => (asShare ? `${name} ${((100 * n) / sum).toFixed(0)} %` : `${n} × ${name}`))
    .join(", ");
}

function aligned(lines: readonly (readonly string[])[]): string {
  const widths =
    lines[0]?.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length))) ?? [];
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export const count = (value: number) => Math.round(value).toLocaleString("en-US");
const ms = (value: number) => (value < 10 ? value.toFixed(1) : value.toFixed(0));
