/**
 * Says what is wrong with a PromQL expression over the series of `metric-names.ts`: syntax, names, labels, and the
 * functions that a kind of series allows (https://prometheus.io/docs/practices/histograms/,
 * https://prometheus.io/docs/prometheus/latest/querying/functions/).
 */
import { parser } from "@prometheus-io/lezer-promql";
import { definitionOf, type MetricDefinition } from "../../worker/monitoring/metric-names.ts";

type Node = ReturnType<typeof parser.parse>["topNode"];

interface Series {
  name: string;
  definition: MetricDefinition;
  /** Those that it has, `le` included. */
  labels: readonly string[];
  isBucket: boolean;
}

/** What Grafana puts in before it asks. */
const filledIn = (expression: string) => expression.replaceAll(/\$__(rate_)?interval|\$__range/g, "5m");

/** Functions of counters; of the series of histograms too, which are counters. */
const OF_COUNTERS = ["rate", "irate", "increase"];

export function checkPromql(written: string): string[] {
  const expression = filledIn(written);
  const faults: string[] = [];
  parser.parse(expression).iterate({
    enter: ({ node, type }) => {
      if (type.isError)
        faults.push(`no PromQL at ${node.from}: ${expression.slice(node.from, node.from + 20)}`);
      else if (type.name === "VectorSelector") faults.push(...checkSelector(node, expression));
      else if (type.name === "FunctionCall") faults.push(...checkQuantile(node, expression));
      else if (type.name === "AggregateExpr") faults.push(...checkGrouping(node, expression));
    },
  });
  return faults;
}

/** The metrics that an expression is about, by the names of the table. */
export function metricsOf(written: string): string[] {
  const expression = filledIn(written);
  return selectorsIn(parser.parse(expression).topNode)
    .map((node) => seriesOf(nameOf(node, expression)))
    .flatMap((series) => (series ? [series.name] : []));
}

/** Labels of the result: null when they are those of the series. */
export function groupedBy(written: string): string[] | null {
  const expression = filledIn(written);
  const aggregate = nodesIn(parser.parse(expression).topNode, "AggregateExpr")[0];
  return aggregate ? groupingLabels(aggregate, expression) : null;
}

function checkSelector(node: Node, expression: string): string[] {
  const name = nameOf(node, expression);
  const series = seriesOf(name);
  if (!series) return [`${name} is no series`];
  const labels = nodesIn(node, "UnquotedLabelMatcher").map((matcher) =>
    textOf(matcher.getChild("LabelName"), expression),
  );
  const faults = labels
    .filter((label) => !series.labels.includes(label))
    .map((label) => `${name} has no label ${label}`);
  const isRated = node.parent?.name === "MatrixSelector" && OF_COUNTERS.includes(callOf(node, expression));
  const isGauge = series.definition.type === "gauge";
  if (isRated === isGauge)
    faults.push(isGauge ? `${name} is no counter` : `${name} is a counter without a rate`);
  return faults;
}

/** A quantile needs all buckets of a histogram, and their `le`. */
function checkQuantile(node: Node, expression: string): string[] {
  if (textOf(node.getChild("FunctionIdentifier"), expression) !== "histogram_quantile") return [];
  const series = selectorsIn(node).map((selector) => seriesOf(nameOf(selector, expression)));
  const faults =
    series.every((each) => each?.isBucket) && series.length > 0 ? [] : ["a quantile of no buckets"];
  const losing = nodesIn(node, "AggregateExpr").some(
    (aggregate) => !groupingLabels(aggregate, expression).includes("le"),
  );
  return losing ? [...faults, "a quantile without le"] : faults;
}

function checkGrouping(node: Node, expression: string): string[] {
  const modifier = node.getChild("AggregateModifier");
  if (modifier?.getChild("Without")) return ["without() keeps labels that nobody names"];
  const series = selectorsIn(node).flatMap((each) => seriesOf(nameOf(each, expression)) ?? []);
  return groupingLabels(node, expression).flatMap((label) =>
    series.filter(({ labels }) => !labels.includes(label)).map(({ name }) => `${name} has no label ${label}`),
  );
}

function groupingLabels(aggregate: Node, expression: string): string[] {
  const labels = aggregate
    .getChild("AggregateModifier")
    ?.getChild("GroupingLabels")
    ?.getChildren("LabelName");
  return (labels ?? []).map((label) => textOf(label, expression));
}

/** The function that is called with this selector's range. */
function callOf(selector: Node, expression: string): string {
  const call = selector.parent?.parent?.parent;
  return call?.name === "FunctionCall" ? textOf(call.getChild("FunctionIdentifier"), expression) : "";
}

function seriesOf(name: string): Series | null {
  const plain = definitionOf(name);
  if (plain && plain.type !== "histogram")
    return { name, definition: plain, labels: plain.labels, isBucket: false };
  const [, base = "", suffix] = /^(.*)_(bucket|sum|count)$/.exec(name) ?? [];
  const definition = definitionOf(base);
  if (definition?.type !== "histogram") return null;
  const isBucket = suffix === "bucket";
  return { name: base, definition, labels: [...definition.labels, ...(isBucket ? ["le"] : [])], isBucket };
}

const selectorsIn = (node: Node) => nodesIn(node, "VectorSelector");

function nodesIn(node: Node, name: string): Node[] {
  const nodes: Node[] = [];
  node.cursor().iterate((each) => {
    if (each.name === name) nodes.push(each.node);
  });
  return nodes;
}

const nameOf = (selector: Node, expression: string) => textOf(selector.getChild("Identifier"), expression);

const textOf = (node: Node | null, expression: string) => (node ? expression.slice(node.from, node.to) : "");
