/** What a run has shown, as text. Pure. */
import { KINDS } from "./mix.ts";
import type { RunResult } from "./run.ts";
import type { Tally } from "./tally.ts";

export function progressText({
  tally,
  underWay,
  seconds,
}: {
  tally: Tally;
  underWay: number;
  seconds: number;
}): string {
  const perSecond = Math.round(tally.sent / Math.max(seconds, 0.001));
  const [p50, , p99] = tally.latencies();
  const failed = `${tally.failed} failed, ${tally.missed} missed`;
  return `${seconds.toFixed(0)} s  ${tally.answered} answered (${perSecond}/s), ${failed}, ${underWay} under way, p50 ${ms(p50?.ms)} p99 ${ms(p99?.ms)} ms`;
}

export function summaryText(
  { tally, slots, heldBack, seconds }: RunResult,
  { rate }: { rate: number },
): string {
  const achieved = (tally.sent / seconds).toFixed(1);
  const lines = [
    `${tally.sent} sent of ${slots} due in ${seconds.toFixed(1)} s: ${achieved} a second of ${rate} asked for.`,
    `${tally.answered} answered, ${tally.failed} failed, ${tally.missed} missed (no user was free; each counts below until the next one was answered).`,
    ...(heldBack > 0
      ? [`${heldBack} held back: this machine was late, and the rate is not exceeded for that.`]
      : []),
    "",
    latencyTable(tally),
    "",
    `errors   ${countsText(tally.failures)}`,
    `sources  ${sharesText(tally.sources)}`,
  ];
  return lines.join("\n");
}

/** Milliseconds from when each was due. */
function latencyTable(tally: Tally): string {
  const cells = (name: string, answered: number, latencies: { ms: number }[]) =>
    [name.padEnd(8), String(answered).padStart(9), ...latencies.map((one) => ms(one.ms).padStart(9))].join(
      "",
    );
  const head = [
    "ms".padEnd(8),
    "answered".padStart(9),
    ...["p50", "p95", "p99", "p99.9", "max"].map((p) => p.padStart(9)),
  ];
  return [
    head.join(""),
    ...KINDS.map((kind) => cells(kind, tally.answeredOf(kind), tally.latencies(kind))),
    cells("all", tally.answered, tally.latencies()),
  ].join("\n");
}

function countsText(counts: ReadonlyMap<string, number>): string {
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  return sorted.map(([name, n]) => `${n} × ${name}`).join(", ") || "none";
}

function sharesText(counts: ReadonlyMap<string, number>): string {
  const total = [...counts.values()].reduce((a, b) => a + b, 0);
  return [...counts].map(([name, n]) => `${name} ${((100 * n) / total).toFixed(1)} %`).join(", ") || "none";
}

function ms(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  return value < 10 ? value.toFixed(2) : value.toFixed(value < 100 ? 1 : 0);
}
