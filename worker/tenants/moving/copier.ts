/** Copies the rows that belong into a new database: by pages, and those of changed entities once more. Nothing of it decides what comes next. */
import { entityDatabase } from "../../db/entity-databases.ts";
import { databaseOf, type EntityRef, entityKey } from "../../keys.ts";
import { MOVE_PAGE_BYTES } from "../../limits.ts";
import { partsUpTo } from "../../parts.ts";
import type { Micros } from "../../timestamps.ts";
import { type Move, nextTable, type Place, sourcesOf } from "./move.ts";
import {
  copyRows,
  deletedSince,
  keysAfter,
  keysOf,
  MOVED_TABLES,
  removeEntities,
  removeRows,
  type SizedKey,
} from "./moved-rows.ts";

interface CopierDependencies {
  env: Env;
  tenant: string;
  /** As it stands now. */
  move: () => Move;
  /** Called after each part of the work, with how long it took. */
  rest: (tookMs: number) => Promise<void>;
}

export class Copier {
  readonly #dependencies: CopierDependencies;

  constructor(dependencies: CopierDependencies) {
    this.#dependencies = dependencies;
  }

  /** @returns how many rows, and where to go on; null: nowhere. @throws Overtaken */
  async copyPage(place: Place): Promise<{ rows: number; next: Place | null }> {
    const { keys, next } = await this.#page(place);
    return { rows: await this.#copyKeys(place.database, place.table, keys), next };
  }

  /** Removes what was copied from where it was. @returns where to go on; null: nowhere. */
  async removePage(place: Place): Promise<Place | null> {
    const startedMs = Date.now();
    const { table, keys, next } = await this.#page(place);
    await removeRows(this.#database(place.database), this.#dependencies.tenant, { table, keys });
    await this.#dependencies.rest(Date.now() - startedMs);
    return next;
  }

  /** Of their history what has come since the move began, unless some of it has gone. @returns how many rows. @throws Overtaken */
  async copyEntities(source: number, changed: readonly EntityRef[]): Promise<number> {
    const refs = changed.filter((ref) => this.#targetOf(ref) !== source);
    const { tenant, move } = this.#dependencies;
    const { since } = move();
    const deleted = await deletedSince(this.#database(source), tenant, { refs, since });
    const { whole = [], grown = [] } = Object.groupBy(refs, (ref) =>
      deleted.has(entityKey(ref)) ? "whole" : "grown",
    );
    const rows = await this.#copyAgain(source, { refs: whole, since: null });
    return rows + (await this.#copyAgain(source, { refs: grown, since }));
  }

  async #copyAgain(
    source: number,
    { refs, since }: { refs: readonly EntityRef[]; since: Micros | null },
  ): Promise<number> {
    let rows = 0;
    for (const [target, own] of Map.groupBy(refs, (ref) => this.#targetOf(ref))) {
      await removeEntities(this.#database(target), this.#moveRun, { refs: own, isWhole: since === null });
    }
    for (const [number, table] of MOVED_TABLES.entries()) {
      for (let after: Place["after"] = null; ; ) {
        const asked = { table, after, refs, since };
        const keys = await keysOf(this.#database(source), this.#dependencies.tenant, asked);
        const last = keys.at(-1);
        if (!last) break;
        rows += await this.#copyKeys(source, number, keys);
        after = last.key;
      }
    }
    return rows;
  }

  /** The next keys of the tenant's rows in a database that belong into another one. */
  async #page({ database, table: number, after }: Place) {
    const table = tableOf(number);
    const found = await keysAfter(this.#database(database), this.#dependencies.tenant, { table, after });
    const isLeaving = ({ key }: SizedKey) => this.#targetOf(table.refOf(key)) !== database;
    const [all] = partsUpTo(found, (one) => (isLeaving(one) ? one.bytes : 0), MOVE_PAGE_BYTES);
    const keys = all?.items.filter(isLeaving) ?? [];
    const last = all?.items.at(-1);
    const next = last
      ? { database, table: number, after: last.key }
      : nextTable(
          { database, table: number, after },
          sourcesOf(this.#dependencies.move()).length,
          MOVED_TABLES.length,
        );
    return { table, keys, next };
  }

  /** @returns how many rows. */
  async #copyKeys(source: number, tableNumber: number, keys: readonly SizedKey[]) {
    const { rest } = this.#dependencies;
    const table = tableOf(tableNumber);
    for (const [target, own] of Map.groupBy(keys, ({ key }) => this.#targetOf(table.refOf(key)))) {
      const ends = { source: this.#database(source), target: this.#database(target) };
      await copyRows(this.#moveRun, { ...ends, table, keys: own, rest });
    }
    return keys.length;
  }

  get #moveRun() {
    const { tenant, move } = this.#dependencies;
    return { tenant, run: move().run };
  }

  #targetOf(ref: EntityRef): number {
    return databaseOf(ref, this.#dependencies.move().to);
  }

  #database(number: number): D1Database {
    return entityDatabase(this.#dependencies.env, number);
  }
}

function tableOf(number: number) {
  const table = MOVED_TABLES[number];
  if (!table) throw new Error(`there is no table ${number}`);
  return table;
}
