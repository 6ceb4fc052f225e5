/**
 * A database with a replica, which the local runtime does not have: another real database that repeats the transactions of
 * the first in their order, some time later. A session reads from it whatever its start allows.
 */

interface Statement {
  sql: string;
  values: unknown[];
}

/** @param lag How many of the transactions that the replica has not repeated it still has not, when somebody may read from it. */
export function withReplica(
  primary: D1Database,
  replica: D1Database,
  lag: (most: number) => number,
): D1Database {
  const copy = new Copy(replica);
  const withSession = (start: string = "first-unconstrained") =>
    new Session(primary.withSession(start), { start, copy, lag }).binding();
  // Outside of a session it is the primary that answers.
  return new Proxy(primary, {
    get(real, name) {
      if (name === "withSession") return withSession;
      const value: unknown = Reflect.get(real, name);
      return typeof value === "function" ? value.bind(real) : value;
    },
  });
}

/** Only ever goes forward. */
class Copy {
  readonly #replica: D1Database;
  readonly #transactions: Statement[][] = [];
  readonly #bookmarks: { bookmark: string; place: number }[] = [];
  #repeated = 0;

  constructor(replica: D1Database) {
    this.#replica = replica;
  }

  /** Of the primary: how many transactions there were. */
  get newest(): number {
    return this.#transactions.length;
  }

  get repeated(): number {
    return this.#repeated;
  }

  committed(statements: readonly Statement[], bookmark: string | null): void {
    this.#transactions.push(statements.filter(isWrite));
    if (bookmark !== null) this.#bookmarks.push({ bookmark, place: this.newest });
  }

  /** What is past a bookmark has at least so many transactions. Bookmarks are ordered as texts. */
  placeOf(start: string): number {
    return Math.max(0, ...this.#bookmarks.flatMap(({ bookmark, place }) => (bookmark <= start ? place : [])));
  }

  async at(place: number): Promise<D1Database> {
    for (; this.#repeated < place; this.#repeated++) {
      const transaction = this.#transactions[this.#repeated] ?? [];
      await this.#replica.batch(transaction.map((statement) => prepared(this.#replica, statement)));
    }
    return this.#replica;
  }
}

interface Starting {
  start: string;
  copy: Copy;
  lag: (most: number) => number;
}

class Session {
  readonly #primary: D1DatabaseSession;
  readonly #copy: Copy;
  readonly #lag: (most: number) => number;
  readonly #statements = new WeakMap<object, Statement>();
  /** It reads nothing older than what has so many transactions; null: the primary is asked next. */
  #floor: number | null;

  constructor(primary: D1DatabaseSession, { start, copy, lag }: Starting) {
    this.#primary = primary;
    this.#copy = copy;
    this.#lag = lag;
    this.#floor =
      start === "first-primary" ? null : start === "first-unconstrained" ? 0 : copy.placeOf(start);
  }

  binding(): D1DatabaseSession {
    return {
      prepare: (sql) => this.#prepare({ sql, values: [] }),
      batch: <T>(asked: D1PreparedStatement[]) => this.#batch<T>(asked),
      getBookmark: () => this.#primary.getBookmark(),
    } as D1DatabaseSession;
  }

  #prepare(statement: Statement): D1PreparedStatement {
    const real = async () => prepared(await this.#reading(), statement);
    const own = {
      bind: (...values: unknown[]) => this.#prepare({ ...statement, values }),
      all: async () => (await real()).all(),
      raw: async () => (await real()).raw(),
      run: async () => (await real()).run(),
    } as unknown as D1PreparedStatement;
    this.#statements.set(own, statement);
    return own;
  }

  async #batch<T>(asked: D1PreparedStatement[]): Promise<D1Result<T>[]> {
    const statements = asked.flatMap((statement) => this.#statements.get(statement) ?? []);
    const writes = statements.some(isWrite);
    const db = writes ? this.#primary : await this.#reading();
    const results = await db.batch<T>(statements.map((statement) => prepared(db, statement)));
    if (!writes) return results;
    this.#copy.committed(statements, this.#primary.getBookmark());
    this.#floor = this.#copy.newest;
    return results;
  }

  /** Where a read is answered. */
  async #reading(): Promise<Pick<D1DatabaseSession, "prepare" | "batch">> {
    const { newest, repeated } = this.#copy;
    const least = Math.max(this.#floor ?? newest, repeated);
    const place = newest - this.#lag(newest - least);
    this.#floor = place;
    return place === newest ? this.#primary : this.#copy.at(place);
  }
}

const isWrite = ({ sql }: Statement) => /\b(INSERT|DELETE|UPDATE)\b/i.test(sql);

function prepared(db: Pick<D1DatabaseSession, "prepare">, { sql, values }: Statement): D1PreparedStatement {
  return db.prepare(sql).bind(...values);
}
