/**
 * Whether what a query tells of an entity comes from that entity's own rows alone. Pure.
 *
 * A streaming feature is computed from the rows of the entities that were touched together. That is the same as from all
 * rows only where every row that a select makes is of one entity, and no other entity's row was looked at for it. Here
 * that is shown of a query, select by select, or it is said what keeps it from being shown; what is not shown may still
 * be true, and is computed by hand.
 *
 * A select is `of-each` entity: its rows are each of the entity in their column of the key. Or it is `of-one`: all of it
 * is of the entity of the row around it, since each table that it reads is held to that entity's key; or it reads no rows
 * of `data` at all. Inside of those all is allowed.
 */
import { isStar, withoutAlias } from "./columns.ts";
import { asEquality, conditionsOf, conjuncts } from "./conjuncts.ts";
import { findName, type Level } from "./levels.ts";
import { exactReference, nameOf, Origins } from "./origin.ts";
import type { OthersSeen } from "./others-seen.ts";
import { callsIn, partitionOf } from "./partitions.ts";
import { expressionsOf } from "./parts.ts";
import { rowidIn } from "./rowid.ts";
import { selectsIn } from "./rows.ts";
import type { Core, Expression, Part, Select, Shape } from "./shape.ts";
import { SQL_FUNCTIONS } from "./words.ts";

type Reach = "of-each" | "of-one";

/** The place of the row around among what is joined. */
const AROUND = -1;

/** @param columns All of `data`. @returns null where it is shown that nothing does. */
export function whatSeesOthers(
  { select }: Shape,
  entityKey: string,
  columns: readonly string[],
): OthersSeen | null {
  try {
    new OwnRows(entityKey.toLowerCase(), new Origins(columns)).reachOf(select, null);
    return null;
  } catch (thrown) {
    if (thrown instanceof Seen) return thrown.what;
    throw thrown;
  }
}

/** Carries what was found out of the depth of a query. */
class Seen extends Error {
  readonly what: OthersSeen;
  constructor(what: OthersSeen) {
    super(what.by);
    this.what = what;
  }
}

class OwnRows {
  readonly #key: string;
  readonly #origins: Origins;

  constructor(key: string, origins: Origins) {
    this.#key = key;
    this.#origins = origins;
  }

  /**
   * Ends soon: what is written out has at most MAX_SQL_PARTS parts.
   *
   * @param around Null for what no row is around.
   * @param allowed `of-one`: its rows are not joined to that row, but are a value there.
   */
  reachOf(select: Select, around: Level | null, allowed: Reach = "of-each"): Reach {
    const reaches = select.cores.map((core) => this.#reachOfCore(core, select, { around, allowed }));
    if (!reaches.includes("of-each")) return "of-one";
    if (select.hasLimit) throw new Seen({ by: "limit" });
    if (select.comparesRows && !this.#haveKeyInCommon(select.cores)) throw new Seen({ by: "compound" });
    return "of-each";
  }

  #reachOfCore(
    core: Core,
    select: Select,
    { around, allowed }: { around: Level | null; allowed: Reach },
  ): Reach {
    const level = { core, around };
    const reaches = core.sources.map(({ select: source }) =>
      source === "data" ? "of-each" : this.reachOf(source, around),
    );
    const reach = this.#reachOfJoin(level, reaches);
    if (reach === "of-each" && allowed === "of-one")
      throw new Seen({ by: "subquery", source: core.sources.find(readsData)?.alias ?? null });
    if (reach === "of-each") this.#assertByEntity(core, select);
    const rowid = rowidIn(level, select, this.#origins);
    if (rowid !== null) throw new Seen({ by: "rowid", name: rowid });
    const lookedUp = this.#keysLookedUp(level);
    for (const inner of selectsIn(expressionsOf(core, select)))
      this.reachOf(inner, level, lookedUp.has(inner) ? "of-each" : "of-one");
    // Of such an aggregate one row may be made of all.
    if (reach === "of-each" && this.#origins.aggregatesWithin(core, select))
      throw new Seen({ by: "aggregate", name: null });
    return reach;
  }

  /** What is joined is of one entity where all of it hangs together by equality of keys. */
  #reachOfJoin(level: Level, reaches: readonly Reach[]): Reach {
    const { sources } = level.core;
    const links = this.#links(level, reaches);
    const held = reachable(AROUND, links);
    const free = reaches.flatMap((reach, i) => (reach === "of-each" && !held.has(i) ? [i] : []));
    const [first] = free;
    if (first === undefined) return "of-one";
    const together = reachable(first, links);
    const apart = free.find((i) => !together.has(i));
    // Which of two keys is the row's would not be known.
    const isMixed = level.around !== null && free.length < sources.filter(readsData).length;
    // Where nothing fits, a left join has a row that is of no entity.
    const alone = sources[first]?.join.isLeft ? first : (apart ?? (isMixed ? first : undefined));
    if (alone !== undefined) throw new Seen({ by: "join", source: sources[alone]?.alias ?? null });
    return "of-each";
  }

  /** Pairs of sources, by their places, whose keys are equal in every row that is joined. */
  #links(level: Level, reaches: readonly Reach[]): [number, number][] {
    const { core } = level;
    const links: [number, number][] = [];
    for (const { condition, of } of conditionsOf(core)) {
      for (const conjunct of conjuncts(condition)) {
        const places = asEquality(conjunct)?.map((name) => this.#placeOfKey(name, level));
        const [a, b] = places ?? [];
        if (a === undefined || b === undefined || a === null || b === null) continue;
        // What a left join does not join is there all the same.
        if (of === null || a === of || b === of) links.push([a, b]);
      }
    }
    for (const [i, { join }] of core.sources.entries()) {
      for (const column of join.using) {
        const name = exactReference(column);
        if (!name || !this.#isKeyOf(core, i, name.column)) continue;
        // The first that has a column of that name is the one that is meant.
        const left = core.sources.findIndex(
          ({ select }) => this.#origins.of(select, name.column).kind !== "absent",
        );
        if (left < i && this.#isKeyOf(core, left, name.column)) links.push([left, i]);
      }
    }
    const placed = (i: number) => (reaches[i] === "of-one" ? AROUND : i);
    return links.map(([a, b]) => [placed(a), placed(b)]);
  }

  /** Where the key of that name is from; null when it is none. */
  #placeOfKey(name: { table: string | null; column: string }, level: Level): number | null {
    const found = findName(name, level, this.#origins);
    if (!found || found.source === null || !this.#isKeyOf(found.level.core, found.source, name.column))
      return null;
    return found.level === level ? found.source : AROUND;
  }

  #isKeyOf(core: Core, source: number, column: string): boolean {
    const read = core.sources[source];
    const origin = read && this.#origins.of(read.select, column);
    return origin?.kind === "column" && origin.column === this.#key;
  }

  /**
   * The subqueries of `key IN (SELECT key …)`, where that is a demand: of a list of all keys it asks for one. Not where
   * its value is read, since a key that is null makes null of false.
   */
  #keysLookedUp(level: Level): Set<Select> {
    const demands = conditionsOf(level.core).flatMap(({ condition }) => conjuncts(condition));
    const found = demands.flatMap((demand) => {
      const [operator, list] = demand.slice(-2);
      const name = exactReference(demand.slice(0, -2));
      const isIn =
        operator?.kind === "token" && operator.token.kind === "word" && operator.token.name === "in";
      if (!name || !isIn || list?.kind !== "select" || this.#placeOfKey(name, level) === null) return [];
      return this.#haveKeyInCommon(list.select.cores, 1) ? [list.select] : [];
    });
    return new Set(found);
  }

  /** @param most Columns that each may have. */
  #haveKeyInCommon([first, ...others]: readonly Core[], most = Number.POSITIVE_INFINITY): boolean {
    const cores = first ? [first, ...others] : [];
    if (cores.some(({ columns }) => columns.some(isStar) || columns.length > most)) return false;
    return (first?.columns ?? []).some((_, at) =>
      cores.every((core) => this.#isKey(core, core.columns[at] ?? [])),
    );
  }

  /** Whether an expression of the core is the key of its row. */
  #isKey(core: Core, expression: Expression): boolean {
    const name = exactReference(withoutAlias(expression));
    const origin = name && this.#origins.resolve(core, name.table, name.column);
    return origin?.kind === "column" && origin.column === this.#key;
  }

  /** Of rows that are each of an entity: that no two entities' come together. */
  #assertByEntity(core: Core, select: Select): void {
    const isGrouped = core.groupBy.length > 0;
    if (isGrouped && !this.#origins.isGroupedBy(core, this.#key)) throw new Seen({ by: "group" });
    if (core.distinct && !this.#makesKey(core)) throw new Seen({ by: "distinct" });
    for (const { name, window } of callsIn(expressionsOf(core, select))) {
      if (window && !this.#isPartitioned(core, window)) throw new Seen({ by: "window", name });
      if (!window && !isGrouped && SQL_FUNCTIONS.get(name)?.aggregate)
        throw new Seen({ by: "aggregate", name });
    }
  }

  #makesKey(core: Core): boolean {
    return core.columns.some((column) => {
      if (!isStar(column)) return this.#isKey(core, column);
      const table = column.length === 3 ? nameOf(column[0]) : null;
      const origin = this.#origins.resolve(core, table, this.#key);
      return origin.kind === "column" && origin.column === this.#key;
    });
  }

  #isPartitioned(core: Core, window: Part): boolean {
    let partition = partitionOf(core, window);
    // One may begin with another, but with none that comes later.
    for (let i = 0; partition && i <= core.partitions.size; i += 1) {
      if (partition.by.some((expression) => this.#isKey(core, expression))) return true;
      partition = partition.base === null ? null : (core.partitions.get(partition.base) ?? null);
    }
    return false;
  }
}

function reachable(from: number, links: readonly (readonly [number, number])[]): Set<number> {
  const reached = new Set([from]);
  for (let size = 0; size < reached.size; ) {
    size = reached.size;
    for (const link of links)
      if (link.some((place) => reached.has(place))) for (const place of link) reached.add(place);
  }
  return reached;
}

const readsData = ({ select }: { select: Select | "data" }): boolean =>
  select === "data" ||
  select.cores.some(
    (core) =>
      core.sources.some(readsData) ||
      selectsIn(expressionsOf(core, select)).some((inner) => readsData({ select: inner })),
  );
