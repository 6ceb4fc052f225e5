/**
 * Totals as Prometheus reads them: text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Pure.
 */
import { type HistogramCounts, type MetricCounts, splitLabels } from "./metric-counts.ts";
import { definitionOf, type HistogramDefinition, METRICS, type MetricDefinition } from "./metric-names.ts";

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** By metric name, then by joined label values. */
export type Gauges = Record<string, Record<string, number>>;

export function prometheusText({ counters, histograms }: MetricCounts, gauges: Gauges): string {
  const lines: string[] = [];
  for (const name of Object.keys(METRICS)) {
    const definition = definitionOf(name);
    if (!definition) continue;
    lines.push(`# HELP ${name} ${escapeHelp(definition.help)}`, `# TYPE ${name} ${definition.type}`);
    const numbers =
      definition.type === "gauge" ? gauges[name] : { ...initial(definition), ...counters[name] };
    for (const [joined, value] of sorted(numbers))
      lines.push(sample(name, labelsOf(definition, joined), value));
    if (definition.type !== "histogram") continue;
    for (const [joined, value] of sorted(histograms[name])) {
      lines.push(...histogramLines(name, definition, labelsOf(definition, joined), value));
    }
  }
  return `${lines.join("\n")}\n`;
}

function initial(definition: MetricDefinition): Record<string, number> {
  const shown = definition.type === "counter" ? (definition.initial ?? []) : [];
  return Object.fromEntries(shown.map((joined) => [joined, 0]));
}

type Labels = [name: string, value: string][];

function histogramLines(
  name: string,
  { buckets, perUnit }: HistogramDefinition,
  labels: Labels,
  counts: HistogramCounts,
): string[] {
  let cumulative = 0;
  const lines = [...buckets, Number.POSITIVE_INFINITY].map((bound, i) => {
    cumulative += counts.buckets[i] ?? 0;
    return sample(`${name}_bucket`, [...labels, ["le", number(bound)]], cumulative);
  });
  return [
    ...lines,
    sample(`${name}_sum`, labels, counts.sum / perUnit),
    sample(`${name}_count`, labels, cumulative),
  ];
}

function sorted<T>(series: Record<string, T> | undefined): [string, T][] {
  return Object.entries(series ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
}

function labelsOf({ labels }: MetricDefinition, joined: string): Labels {
  const values = splitLabels(joined);
  return labels.map((label, i) => [label, values[i] ?? ""]);
}

function sample(name: string, labels: Labels, value: number): string {
  const text = labels.map(([label, text]) => `${label}="${escapeLabel(text)}"`).join(",");
  return `${name}${text && `{${text}}`} ${number(value)}`;
}

function number(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value);
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
