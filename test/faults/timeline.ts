/**
 * The truth: what D1 held after each transaction, asked in the transaction itself. Every step from one moment to the
 * next must be what the model makes of changes that somebody has sent, each whole and each once.
 */
import type { Alongside } from "../setup/faults.ts";
import { type ModelEntity, remove, UNWRITTEN, WHOLE, write } from "./model.ts";
import { type PastValue, pastOf } from "./past.ts";
import { nameOf, type PlannedChange } from "./schedule.ts";
import { START_MS } from "./world.ts";

interface CurrentRow {
  entity: string;
  category: string;
  data: string | null;
  event_times: string | null;
  event_time: number;
  floor: number | null;
  deleted_at: number | null;
  created_at: number;
  updated_at: number;
  revision: number;
}

interface HistoryRow {
  entity: string;
  category: string;
  event_time: number;
  revision: number;
  data: string;
  ingested_at: number;
  event_id: string | null;
  mode: string;
}

export interface Moment {
  /** By entity, then by category. */
  rows: ReadonlyMap<string, ReadonlyMap<string, CurrentRow>>;
  history: ReadonlyMap<string, HistoryRow>;
}

export interface Committed {
  entity: string;
  revision: number;
  moment: number;
}

const CURRENT = ["bright_uid", "entities"].map((table) => {
  const entity = table === "entities" ? "entity_type || '/' || entity_value" : `'${table}/' || ${table}`;
  return `SELECT ${entity} AS entity, category, data, event_times, event_time, floor, deleted_at, created_at,
    updated_at, revision FROM ${table} WHERE tenant_id = ?1`;
});
const HISTORY = `SELECT entity_type || '/' || entity_value AS entity, category, event_time, revision, data, ingested_at,
  event_id, mode FROM feature_history WHERE tenant_id = ?1 ORDER BY revision, ingested_at`;
const START_MICROS = START_MS * 1_000;

export class Timeline implements Alongside {
  readonly moments: Moment[] = [{ rows: new Map(), history: new Map() }];
  readonly violations: string[] = [];
  /** Changes that were sent, by number, with the revision on which they insist. */
  readonly sent = new Map<number, { change: PlannedChange; ifRevision: number | null }>();
  readonly applied = new Map<number, Committed>();
  /** Deletions by entity and revision. */
  readonly deleted = new Map<string, Committed & { category: string | null }>();
  /** Events of all history rows that ever were, by id. */
  readonly announced = new Map<string, HistoryRow>();
  readonly #tenant: string;
  readonly #placeOf: (entity: string) => number;
  readonly #model = new Map<string, ModelEntity>();
  /** What each database held last, by its number. */
  readonly #held = new Map<number, Moment>();

  /** @param placeOf In which database an entity has to be. */
  constructor(tenant: string, placeOf: (entity: string) => number) {
    this.#tenant = tenant;
    this.#placeOf = placeOf;
  }

  get now(): number {
    return this.moments.length - 1;
  }

  statements(db: Pick<D1DatabaseSession, "prepare">): D1PreparedStatement[] {
    return [CURRENT.join(" UNION ALL "), HISTORY].map((sql) => db.prepare(sql).bind(this.#tenant));
  }

  seen([current, history]: D1Result[], database: number): void {
    const rows = (current?.results ?? []) as CurrentRow[];
    const written = (history?.results ?? []) as HistoryRow[];
    this.#held.set(database, {
      rows: new Map(
        [...Map.groupBy(rows, ({ entity }) => entity)].map(([entity, own]) => [
          entity,
          new Map(own.map((row) => [row.category, row])),
        ]),
      ),
      history: new Map(
        written.map((row) => [Object.values(row).slice(0, 4).concat(row.ingested_at).join(), row]),
      ),
    });
    for (const entity of new Set([...rows, ...written].map((row) => row.entity))) {
      const place = this.#placeOf(entity);
      if (place !== database)
        this.violations.push(`${entity} is in database ${database}, not in ${place} where it belongs`);
    }
    const all = [...this.#held.values()];
    const moment = {
      rows: new Map(all.flatMap((held) => [...held.rows])),
      history: new Map(all.flatMap((held) => [...held.history])),
    };
    const before = this.moments.at(-1);
    this.moments.push(moment);
    if (!before) return;
    for (const entity of new Set([...moment.rows.keys(), ...before.rows.keys()])) {
      this.#step(entity, before, moment);
    }
  }

  revisionAt(entity: string, moment: number): number {
    const rows = this.moments[moment]?.rows.get(entity)?.values() ?? [];
    return Math.max(0, ...[...rows].map(({ revision }) => revision));
  }

  /** What the history said at that moment of an earlier time; see {@link pastOf}. */
  pastAt(entity: string, moment: number, asked: { at: number; knownAt: number | null }): PastValue[] {
    const rows = [...(this.moments[moment]?.history.values() ?? [])];
    return pastOf(
      rows.filter((row) => row.entity === entity),
      asked,
    );
  }

  /** Whether any entity has another revision now. */
  hasMovedSince(moment: number): boolean {
    const entities = [...(this.moments.at(-1)?.rows.keys() ?? [])];
    return entities.some((entity) => this.revisionAt(entity, moment) !== this.revisionAt(entity, this.now));
  }

  /** Whether nothing of the category, or of the whole entity, was there. */
  isEmptyAt(entity: string, category: string | null, moment: number): boolean {
    const rows = [...(this.moments[moment]?.rows.get(entity)?.values() ?? [])];
    return !rows.some((row) => row.data !== null && (category ?? row.category) === row.category);
  }

  /** Whether something of these categories was dated after the entity's last change: by a client, or to outdo one. */
  isAheadAt(entity: string, categories: readonly string[], moment: number): boolean {
    const rows = [...(this.moments[moment]?.rows.get(entity)?.values() ?? [])];
    const lastChange = Math.max(...rows.map((row) => row.updated_at));
    return rows.some((row) => [WHOLE, ...categories].includes(row.category) && row.event_time > lastChange);
  }

  /** The values at that moment as the store should answer them; null when there are none. */
  valuesAt(entity: string, moment: number): string | null {
    const rows = [...(this.moments[moment]?.rows.get(entity)?.values() ?? [])].filter(
      ({ data }) => data !== null,
    );
    return valuesText(
      rows.map((row) => [
        row.category,
        row.data,
        row.event_time,
        row.event_times,
        row.created_at,
        row.updated_at,
      ]),
    );
  }

  #step(entity: string, before: Moment, after: Moment): void {
    const fresh = [...after.history].filter(
      ([key, row]) => row.entity === entity && !before.history.has(key),
    );
    const rows = fresh.map(([, row]) => row);
    const own = after.rows.get(entity) ?? new Map<string, CurrentRow>();
    let model = this.#model.get(entity) ?? UNWRITTEN;
    const last = this.revisionAt(entity, this.now);
    let scope: string | null | undefined;
    for (let revision = model.revision + 1; revision <= last; revision++) {
      const written = rows.filter((row) => row.revision === revision && row.event_id !== null);
      const gone = [...own.values()].filter((row) => row.revision === revision && row.data === null);
      if (written.length > 0) model = this.#write(entity, model, written, rows);
      else if (gone[0]) {
        scope = gone.some(({ category }) => category === WHOLE) ? null : gone[0].category;
        model = this.#delete(entity, model, scope, gone[0].updated_at);
      } else this.violations.push(`${entity} has no revision ${revision}, but ${last}`);
    }
    this.#model.set(entity, model);
    this.#compare(entity, model, own);
    const lost = [...before.history].filter(([key, row]) => row.entity === entity && !after.history.has(key));
    const isMeant = ([, row]: [string, HistoryRow]) => scope === null || scope === row.category;
    if (!lost.every(isMeant)) this.violations.push(`${entity} has lost history`);
    const isLeft = (row: HistoryRow) => row.entity === entity && (scope === null || scope === row.category);
    if (scope !== undefined && [...after.history.values()].some(isLeft))
      this.violations.push(`history of ${entity} is left after its deletion`);
  }

  #write(entity: string, model: ModelEntity, written: HistoryRow[], all: HistoryRow[]): ModelEntity {
    const revision = model.revision + 1;
    const numbers = new Set(written.flatMap(({ data }) => Object.values(JSON.parse(data) as object)));
    const [n] = numbers as Set<number>;
    const { change, ifRevision } = this.sent.get(n ?? 0) ?? { change: null, ifRevision: null };
    const what = `revision ${revision} of ${entity}`;
    for (const row of written) this.announced.set(row.event_id ?? "", row);
    if (
      numbers.size !== 1 ||
      change?.kind !== "write" ||
      nameOf(change.entity) !== entity ||
      n === undefined
    ) {
      this.violations.push(`${what} is not one write: ${[...numbers]}`);
      return model;
    }
    if (this.applied.has(n)) this.violations.push(`${what} applies write ${n} once more`);
    if (ifRevision !== null && ifRevision !== model.revision) {
      this.violations.push(`${what} was to be written upon ${ifRevision} only`);
    }
    this.applied.set(n, { entity, revision, moment: this.now });
    const now = written[0]?.ingested_at ?? 0;
    const { next, applied, late } = write(model, change, { now, start: START_MICROS });
    const found = written.map(({ category }) => category).sort();
    if (found.join() !== [...applied].sort().join()) {
      this.violations.push(
        `${what} changes ${found.join() || "nothing"}, not ${applied.join() || "nothing"}`,
      );
    }
    const isKept = (category: string) =>
      all.some((row) => row.category === category && row.event_id === null && row.ingested_at === now);
    if (!late.every(isKept)) this.violations.push(`${what}: what came late is not in the history`);
    return next;
  }

  #delete(entity: string, model: ModelEntity, scope: string | null, now: number): ModelEntity {
    const revision = model.revision + 1;
    this.deleted.set(`${entity}@${revision}`, { entity, revision, category: scope, moment: this.now });
    const next = remove(model, scope, now);
    if (!next) this.violations.push(`revision ${revision} of ${entity} deletes what is not there`);
    return next ?? model;
  }

  #compare(entity: string, model: ModelEntity, rows: ReadonlyMap<string, CurrentRow>): void {
    const expected = [...model.categories].map(
      ([category, { features, time, floor, deletedAt, createdAt, revision }]) => [
        category,
        features && Object.fromEntries([...features].map(([name, { n }]) => [name, n])),
        [time, floor, deletedAt, createdAt, revision],
      ],
    );
    const found = [...rows].map(([category, row]) => [
      category,
      row.data && JSON.parse(row.data),
      [row.event_time, row.floor, row.deleted_at, row.created_at, row.revision],
    ]);
    const [a, b] = [expected, found].map((all) => JSON.stringify(all.map((one) => sorted(one)).sort()));
    if (a !== b) this.violations.push(`${entity} is ${b}, not ${a}`);
  }
}

/** One text for the same values, whatever the order of categories; null for none. */
export function valuesText(categories: readonly (readonly unknown[])[]): string | null {
  return categories.length === 0
    ? null
    : JSON.stringify([...categories].map((one) => JSON.stringify(one)).sort());
}

/** With the features in the order of their names. */
function sorted(category: unknown[]): string {
  return JSON.stringify(category, (_, value) =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
}
