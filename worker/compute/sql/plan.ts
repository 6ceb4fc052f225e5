/**
 * The work that a query plan shows: rows visited, rows kept. Pure.
 *
 * Every bound is for the worst data that a tenant could send. Loops beside each other in the plan run inside each
 * other, so their rows multiply; what stands under a line belongs to that line alone.
 */
import type { TableStatistics } from "./cost.ts";
import type { KeptBytes, KeptIn, KeptOf } from "./kept-bytes.ts";
import { isUniqueBy, type RowBounds } from "./rows.ts";
import type { Select } from "./shape.ts";
import type { PlanNode } from "./steps.ts";

interface PlanWork {
  /** At most so many rows come out. */
  rows: number;
  /** How often a row is looked at: each time every expression may be evaluated. */
  visits: number;
  /** Steps apart from expressions. */
  steps: number;
  /** Bytes of what is put into sorters, indexes and intermediate tables. */
  kept: number;
}

/** In steps, measured (the figures are in `cost.ts`): the next row, and finding one in an index. */
const NEXT_ROW = 20;
const FIND_ROW = 100;
/** Sorting is n log n comparisons; a tree takes its rows in any order, all over its memory. */
const SORT_ROW = 15;
const TREE_ROW = 80;
/** Finding in such a tree. */
const TREE_FIND = 40;

interface PlanFacts {
  /** Which the plan is of. */
  select: Select;
  kept: Pick<KeptBytes, "of" | "ofData">;
  /** LIMIT stands somewhere in the statement: then ORDER BY may sort in a tree, as that of the whole result always may. */
  hasLimit: boolean;
  bounds: RowBounds;
  statistics: TableStatistics;
  /** A name was written that could imitate the plan's list of columns, or an equality that is none. */
  distrustsColumns: boolean;
}

export class Plan {
  readonly #facts: PlanFacts;
  readonly #kept = new Map<string, PlanNode[]>();
  readonly #rows = new Map<PlanNode, number | null>();
  readonly #subqueries = new Map<string, PlanNode>();
  /** Whose plan the lines are: those under a name are of that select. */
  readonly #selects = new Map<readonly PlanNode[], Select>();
  readonly #root: readonly PlanNode[];
  readonly #entered = new Set<string>();
  /** What stands under a line is asked for several times by each line around it. */
  readonly #work = new Map<readonly PlanNode[], PlanWork>();

  constructor(nodes: readonly PlanNode[], facts: PlanFacts) {
    this.#facts = facts;
    this.#root = nodes;
    this.#index(nodes, facts.select);
  }

  /** Whether SQLite keeps this select's rows, wherever it is read, instead of writing it out. */
  isKept(select: Select): boolean {
    const { named, instances } = this.#facts.bounds;
    if (instances.get(select) !== 1) return false;
    return [...named].some(
      ([name, meanings]) => meanings.has(select) && meanings.size === 1 && this.#kept.has(name),
    );
  }

  /** A name that the plan reads and the statement does not; null when there is none. */
  unknownName(nodes: readonly PlanNode[]): string | null {
    for (const { step, children } of nodes) {
      const isRead = step.kind === "scan" || step.kind === "search";
      if (isRead && this.#rowsOf(step.name) === null) return step.name;
      const inner = this.unknownName(children);
      if (inner !== null) return inner;
    }
    return null;
  }

  /** The work of one select. */
  work(nodes: readonly PlanNode[]): Readonly<PlanWork> {
    const work = this.#work.get(nodes) ?? this.#addUp(nodes);
    this.#work.set(nodes, work);
    return work;
  }

  /** Its loops from the outermost to the innermost, then what is done with their rows. */
  #addUp(nodes: readonly PlanNode[]): PlanWork {
    const total: PlanWork = { rows: 1, visits: 1, steps: 0, kept: 0 };
    const keep = (where: KeptIn, of: KeptOf, rows: number) => this.#keep(nodes, where, of, rows);
    for (const node of nodes) this.#addLoop(total, node, keep);
    for (const { step, children } of nodes) {
      if (step.kind === "per-row") add(total, this.work(children), total.rows);
      if ((step.kind === "per-row" || step.kind === "once") && step.list) {
        const { rows } = this.work(children);
        const times = step.kind === "per-row" ? total.rows : 1;
        total.steps +=
          times * sorting(rows, TREE_ROW) + total.rows * TREE_FIND * Math.log2(Math.max(2, rows));
        total.kept += times * keep("tree", "row", rows);
      }
      if (step.kind === "distinct") {
        total.steps += sorting(total.rows, TREE_ROW);
        total.kept += keep("tree", step.inAggregate ? "args" : "row", total.rows);
      }
      if (step.kind === "reuse") add(total, this.#workOfSubquery(step.number), total.rows);
      if (step.kind === "sort") {
        total.steps += sorting(total.rows);
        const inTree = step.by === "aggregate" || (step.by === "order" && this.#mayStopEarly(nodes));
        total.kept += keep(
          inTree ? "tree" : "sorter",
          step.by === "aggregate" ? "args" : "sorted",
          total.rows,
        );
      }
    }
    return total;
  }

  /** SQLite keeps only the first rows of ORDER BY with LIMIT, in a tree. The whole result has one around it. */
  #mayStopEarly(nodes: readonly PlanNode[]): boolean {
    return this.#facts.hasLimit || nodes === this.#root;
  }

  #keep(nodes: readonly PlanNode[], where: KeptIn, of: KeptOf, rows: number): number {
    const select = this.#selects.get(nodes) ?? this.#facts.select;
    return this.#facts.kept.of({ in: where, of, rows, select });
  }

  /** A row of what has a name, or the widest of all where the plan has made it up. */
  #keepNamed(name: string, where: KeptIn, rows: number): number {
    const [only, ...more] = this.#facts.bounds.named.get(name) ?? [];
    if (only === "data" && more.length === 0) return this.#facts.kept.ofData(where, rows);
    const select = this.#selectOf(name);
    if (select) return this.#facts.kept.of({ in: where, of: "row", rows, select, isExact: true });
    return this.#facts.kept.of({ in: where, of: "anything", rows, select: this.#facts.select });
  }

  #selectOf(name: string): Select | null {
    const [only, ...more] = this.#facts.bounds.named.get(name) ?? [];
    return only === undefined || only === "data" || more.length > 0 ? null : only;
  }

  #addLoop(
    total: PlanWork,
    { step, children }: PlanNode,
    keep: (where: KeptIn, of: KeptOf, rows: number) => number,
  ): void {
    switch (step.kind) {
      case "constant":
      case "scan": {
        const rows =
          step.kind === "constant" ? step.rows : (this.#rowsOf(step.name) ?? Number.POSITIVE_INFINITY);
        total.rows *= Math.max(1, rows);
        total.visits += total.rows;
        total.steps += total.rows * NEXT_ROW;
        return;
      }
      case "search": {
        const indexed = this.#rowsOf(step.name) ?? Number.POSITIVE_INFINITY;
        // The index is made before, from all rows; then every outer row looks up and goes through what it finds.
        total.steps += sorting(indexed) + total.rows * FIND_ROW;
        total.kept += this.#keepNamed(step.name, "tree", indexed);
        total.rows *= Math.max(1, Math.min(indexed, this.#fanOut(step.name, step.columns)));
        total.visits += total.rows;
        total.steps += total.rows * FIND_ROW;
        return;
      }
      case "keep":
      case "once": {
        const inner = this.work(children);
        add(total, inner, 1);
        if (step.kind === "keep" && step.stores)
          total.kept += this.#keepNamed(step.name, "table", inner.rows);
        total.steps += inner.rows * NEXT_ROW;
        return;
      }
      case "compound": {
        let rows = 0;
        for (const part of children) {
          const inner = this.work(part.children);
          add(total, inner, 1);
          if (step.stores) total.kept += keep("tree", "row", inner.rows);
          total.steps += sorting(inner.rows, TREE_ROW);
          rows += inner.rows;
        }
        total.rows *= Math.max(1, rows);
        total.visits += total.rows;
      }
    }
  }

  /** Nothing, when it is computed once and its result kept. Infinite inside itself, which SQLite has no way to be. */
  #workOfSubquery(number: string): Readonly<PlanWork> {
    const node = this.#subqueries.get(number);
    if (!node || this.#entered.has(number))
      return { rows: 1, visits: Number.POSITIVE_INFINITY, steps: 0, kept: 0 };
    if (node.step.kind === "once") return { rows: 1, visits: 1, steps: 0, kept: 0 };
    this.#entered.add(number);
    const work = this.work(node.children);
    this.#entered.delete(number);
    return work;
  }

  /** Rows of a name at most; null when the statement does not have it. */
  #rowsOf(name: string): number | null {
    const { bounds } = this.#facts;
    if (name.startsWith("(")) return Math.min(bounds.unnamed, this.#keptRows([name]));
    const meanings = bounds.named.get(name);
    if (!meanings) return null;
    const rows = [...meanings].map((meaning) => {
      if (meaning === "data" || meanings.size > 1) return bounds.of(meaning);
      return Math.min(bounds.of(meaning), this.#keptRows(this.#namesOf(meaning)));
    });
    return Math.max(0, ...rows);
  }

  /** All names of a select, unless one of them may also mean something else. */
  #namesOf(select: Select): string[] {
    const names = [...this.#facts.bounds.named].filter(([, meanings]) => meanings.has(select));
    return names.every(([, meanings]) => meanings.size === 1) ? names.map(([name]) => name) : [];
  }

  /** How many rows the plan itself computes under these names; without such a line anything may be. */
  #keptRows(names: readonly string[]): number {
    const nodes = names.flatMap((name) => this.#kept.get(name) ?? []);
    if (nodes.length === 0) return Number.POSITIVE_INFINITY;
    return Math.max(...nodes.map((node) => this.#rowsOfNode(node)));
  }

  #rowsOfNode(node: PlanNode): number {
    const known = this.#rows.get(node);
    // An alias inside may have the name of what is being computed.
    if (known === null) return Number.POSITIVE_INFINITY;
    if (known !== undefined) return known;
    this.#rows.set(node, null);
    const { rows } = this.work(node.children);
    this.#rows.set(node, rows);
    return rows;
  }

  /** How many rows one look-up may find. */
  #fanOut(name: string, columns: string): number {
    const { bounds, statistics, distrustsColumns } = this.#facts;
    const meanings = bounds.named.get(name);
    if (distrustsColumns || !meanings) return Number.POSITIVE_INFINITY;
    const equal = new Set(
      columns
        .split(" AND ")
        .flatMap((part) => (part.endsWith("=?") ? [part.slice(0, -2).toLowerCase()] : [])),
    );
    const found = [...meanings].map((meaning) => {
      if (meaning !== "data") return isUniqueBy(meaning, equal) ? 1 : Number.POSITIVE_INFINITY;
      const groups = [...equal].map(
        (column) => statistics.largestGroup?.get(column) ?? Number.POSITIVE_INFINITY,
      );
      return Math.min(Number.POSITIVE_INFINITY, ...groups);
    });
    return Math.max(1, ...found);
  }

  #index(nodes: readonly PlanNode[], select: Select): void {
    this.#selects.set(nodes, select);
    for (const node of nodes) {
      const { step, children } = node;
      if (step.kind === "keep") this.#kept.set(step.name, [...(this.#kept.get(step.name) ?? []), node]);
      if (step.kind === "per-row" || step.kind === "once") this.#subqueries.set(step.number, node);
      this.#index(children, (step.kind === "keep" && this.#selectOf(step.name)) || select);
    }
  }
}

function add(total: PlanWork, inner: Readonly<PlanWork>, times: number): void {
  total.visits += times * inner.visits;
  total.steps += times * inner.steps;
  total.kept += times * inner.kept;
}

const sorting = (rows: number, price = SORT_ROW) => rows * price * Math.log2(Math.max(2, rows));
