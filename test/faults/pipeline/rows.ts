/**
 * The rows of the raw table at every moment, held against what was ingested, for how long rows are kept, and whose are
 * erased: each ingest whole and once, no row gone that is neither too old nor erased, and in columns that the table has
 * gained what it was sent with, or null. Pure.
 */
import { LARGE_SKEW_MS } from "../world.ts";
import { ADDED_COLUMNS, type AddedColumn, type PlannedRow } from "./schedule.ts";

/** As it is stored: its time is a text, or null. What its table has not gained is null. */
export interface StoredRow extends Record<AddedColumn, number | null> {
  user: string | null;
  amount: number;
  at: string | null;
}

/** All rows of the table between two changes of it. */
export type Moment = readonly StoredRow[];

interface SentIngest {
  operation: number;
  rows: readonly PlannedRow[];
  /** The moment in which its rows came; null: they have not. */
  moment: number | null;
}

/** How long rows are to be kept; one for each time that it was changed. */
interface Retention {
  days: number | null;
}

/** Of all rows of a user that are there when it is asked for. */
export interface Erasure {
  user: string;
  /** The moment in which it was asked for, at last. */
  since: number;
  /** The moment behind which it removes nothing; null: one that was cut off may still be at it. */
  until: number | null;
}

const DAY_MS = 86_400_000;
/** Two clocks that are set apart, one of which was set back. */
const MOST_SKEW_MS = 3 * LARGE_SKEW_MS;
/** A row goes within an hour of its time; what looks for it may ring late, or again after a failure. */
const LATEST_PURGE_MS = 65 * 60_000;

export class Rows {
  readonly moments: Moment[] = [[]];
  readonly #complain: (text: string) => void;
  readonly #ingests = new Map<number, SentIngest>();
  readonly #ofAmount = new Map<number, SentIngest>();
  readonly #went = new Set<number>();
  /** Cells that were complained of. */
  readonly #wrong = new Set<string>();
  readonly #erasures: Erasure[] = [];
  /** The registry has no such table any more. */
  isDropped = false;
  /** All that ever were; the last is what the registry says. */
  readonly #retentions: Retention[];
  /** Where those begin of which one may still be in force. */
  #inForce = 0;

  constructor(complain: (text: string) => void, retentionDays: number | null) {
    this.#complain = complain;
    this.#retentions = [{ days: retentionDays }];
  }

  get now(): number {
    return this.moments.length - 1;
  }

  get rows(): Moment {
    return this.moments.at(-1) ?? [];
  }

  send(operation: number, rows: readonly PlannedRow[]): void {
    if (this.#ingests.has(operation)) return;
    const sent = { operation, rows, moment: null };
    this.#ingests.set(operation, sent);
    for (const { amount } of rows) this.#ofAmount.set(amount, sent);
  }

  /** What the table holds, after each change of it. */
  see(rows: readonly StoredRow[], nowMs: number): void {
    const before = new Map(this.rows.map((row) => [row.amount, row]));
    const after = new Map(rows.map((row) => [row.amount, row]));
    this.moments.push(rows);
    if (after.size < rows.length) this.#complain(`a row is there twice: ${amounts(rows)}`);
    const come = rows.filter(({ amount }) => !before.has(amount));
    for (const sent of new Set(come.map(({ amount }) => this.#ofAmount.get(amount)))) {
      if (sent) this.#comes(sent, come);
      else this.#complain(`rows are there that nobody has sent: ${amounts(come)}`);
    }
    for (const row of before.values()) if (!after.has(row.amount)) this.#goes(row, nowMs);
    for (const row of rows) this.#checkAdded(row);
  }

  #checkAdded(row: StoredRow): void {
    const sent = this.#ofAmount.get(row.amount)?.rows.find(({ amount }) => amount === row.amount);
    for (const column of ADDED_COLUMNS) {
      const cell = sent?.added[column] ?? null;
      const name = `${row.amount} ${column}`;
      if (!sent || row[column] === cell || this.#wrong.has(name)) continue;
      this.#wrong.add(name);
      this.#complain(`row ${row.amount} has ${row[column]} in ${column}, and was sent with ${cell}`);
    }
  }

  #comes(sent: SentIngest, come: readonly StoredRow[]): void {
    const what = `ingest ${sent.operation}`;
    if (sent.moment !== null) this.#complain(`rows of ${what} come once more`);
    sent.moment = this.now;
    const there = new Map(come.map((row) => [row.amount, row]));
    for (const { user, amount } of sent.rows) {
      const row = there.get(amount);
      if (!row) this.#complain(`${what} is not there as a whole: row ${amount} is missing`);
      else if (row.user !== user) this.#complain(`row ${amount} of ${what} is another`);
    }
  }

  #goes({ user, amount, at }: StoredRow, nowMs: number): void {
    this.#went.add(amount);
    if (this.isDropped) return;
    const ageMs = at === null ? Number.NEGATIVE_INFINITY : nowMs - Date.parse(at);
    const isTooOld = this.#retentions
      .slice(this.#inForce)
      .some(({ days }) => days !== null && ageMs + MOST_SKEW_MS >= days * DAY_MS);
    if (!isTooOld && !this.#isErased(user, amount))
      this.#complain(`row ${amount} has gone, ${Math.round(ageMs / 1_000)} s old`);
  }

  /** What came behind the end of an erasure is not for it to remove. */
  #isErased(user: string | null, amount: number): boolean {
    const came = this.#ofAmount.get(amount)?.moment ?? Number.POSITIVE_INFINITY;
    return this.#erasures.some((one) => one.user === user && (one.until === null || came <= one.until));
  }

  /** An erasure is about to be asked for. */
  erase(user: string): Erasure {
    const erasure = { user, since: this.now, until: null };
    this.#erasures.push(erasure);
    return erasure;
  }

  /** Its caller was told that so many rows were removed. */
  erased({ user, since }: Erasure, removed: number): void {
    const own = (moment: Moment | undefined) =>
      (moment ?? []).flatMap((row) => (row.user === user ? row.amount : []));
    const before = own(this.moments[since]);
    const left = new Set(own(this.rows));
    const kept = before.filter((amount) => left.has(amount));
    if (kept.length > 0) this.#complain(`rows ${kept.join()} of ${user} were erased and are still there`);
    const all = new Set(this.moments.slice(since).flatMap(own));
    if (removed > all.size) this.#complain(`${removed} rows of ${user} were erased, of ${all.size}`);
  }

  /** @param answer What the caller was told. */
  acknowledge(operation: number, answer: { ingested: number; total: number }): void {
    const sent = this.#ingests.get(operation);
    const what = `ingest ${operation}`;
    if (!sent || sent.moment === null) {
      this.#complain(`${what} was acknowledged and is not there`);
      return;
    }
    if (answer.ingested !== sent.rows.length)
      this.#complain(`${what} was told that ${answer.ingested} rows were ingested`);
    const there = this.moments[sent.moment]?.length;
    if (answer.total !== there)
      this.#complain(`${what} was told that there are ${answer.total} rows, of ${there}`);
  }

  /** Its caller was told that it does not fit the table. */
  refuse(operation: number): void {
    if (this.#ingests.get(operation)?.moment != null)
      this.#complain(`ingest ${operation} was refused and is there`);
  }

  /** The registry says so from now on. */
  retain(days: number | null): void {
    this.#retentions.push({ days });
  }

  /** What is in force when a change is sent, for when it is acknowledged. */
  get retention(): Retention | undefined {
    return this.#retentions.at(-1);
  }

  /** The caller who has changed it has heard so: what was in force before that counts no more. */
  retained(days: number | null, sent: Retention | undefined): void {
    const start = sent ? this.#retentions.indexOf(sent) + 1 : 0;
    const own = this.#retentions.findIndex((retention, i) => i >= start && retention.days === days);
    if (own < 0) this.#complain(`a retention of ${days} days was acknowledged and is not registered`);
    this.#inForce = Math.max(this.#inForce, own);
  }

  /** Of all that were sent, in which moment each came that names the user. */
  touching(user: string): { operation: number; moment: number }[] {
    return [...this.#ingests.values()].flatMap(({ operation, rows, moment }) =>
      moment !== null && rows.some((row) => row.user === user) ? [{ operation, moment }] : [],
    );
  }

  /** In the end, when enough time has passed for every row to go that must. */
  everythingAged(nowMs: number): void {
    const days = this.#retentions.at(-1)?.days ?? null;
    if (days === null) return;
    for (const { amount, at } of this.rows) {
      if (at === null) continue;
      const ageMs = nowMs - Date.parse(at);
      if (ageMs > days * DAY_MS + LATEST_PURGE_MS)
        this.#complain(`row ${amount} is still there, ${Math.round(ageMs / 1_000)} s old`);
    }
  }

  /** In the end: what came is there, but for what was too old. */
  everythingKept(): void {
    if (this.isDropped && this.rows.length > 0) this.#complain("rows of the dropped table are left");
    const there = new Set(this.rows.map(({ amount }) => amount));
    for (const { operation, rows, moment } of this.#ingests.values()) {
      if (moment === null) continue;
      const lost = rows.filter(({ amount }) => !there.has(amount) && !this.#went.has(amount));
      if (lost.length > 0)
        this.#complain(`ingest ${operation} has lost rows ${lost.map(({ amount }) => amount).join()}`);
    }
  }
}

const amounts = (rows: readonly StoredRow[]) => rows.map(({ amount }) => amount).join();
