/** Those who ingest, compute and write: what they ask for, and what an answer promises them. */
import { really, START_MS } from "../world.ts";
import type { Asking } from "./asking.ts";
import type { TableColumns } from "./columns.ts";
import type { Registered } from "./registered.ts";
import type { Rows } from "./rows.ts";
import type { Action, PlannedRow, Slot } from "./schedule.ts";
import {
  type Acknowledged,
  categoryOf,
  groupsOf,
  SQL_OF_ADDED,
  type StoredVector,
  USERS,
  type Version,
  vectorOf,
  type WrittenVector,
} from "./vectors.ts";

interface UsersWorld {
  asking: Asking;
  registered: Registered;
  rows: Rows;
  columns: TableColumns;
  /** As D1 has them now. */
  vectors: () => Promise<ReadonlyMap<string, StoredVector>>;
  written: () => Promise<WrittenVector[]>;
  complain: (text: string) => void;
}

/** A computation by hand that was acknowledged. */
interface Computed {
  version: Version;
  /** The moment in which it was asked for. */
  since: number;
  /** Null: it was done at once. */
  job: string | null;
}

export type UsersAction = Exclude<Action, { slot: Slot } | { do: "evict" | "add columns" }>;
type Of<D extends Action["do"]> = Extract<Action, { do: D }>;

const SKIPS = ["user is null", "there is a value with a newer event time"];
const OVERTAKEN = "it was computed again from later rows; nothing more of this is written";
const ERASED =
  "rows were erased from its table; nothing more of this is written, and it is computed again from what is left";

export class Users {
  readonly counts = { jobs: 0, overtaken: 0, cutOff: 0, erasures: 0, versionsAdded: 0, unfit: 0 };
  /** Erasures that were acknowledged. */
  readonly erased: Acknowledged[] = [];
  readonly #w: UsersWorld;
  readonly #computed: Computed[] = [];
  readonly #sent = new Set<number>();
  /** By the category of a version that somebody was told to be active: ingests that were sent before that. */
  readonly #sentBefore = new Map<string, ReadonlySet<number>>();
  #isDropAcknowledged = false;
  /** Somebody has asked for it. */
  #areErased = false;

  constructor(own: UsersWorld) {
    this.#w = own;
  }

  async run(operation: number, action: UsersAction): Promise<void> {
    switch (action.do) {
      case "ingest":
        return this.#ingest(operation, action);
      case "compute":
        return this.#compute(operation, action);
      case "write":
        return this.#write(operation, action);
      case "retain":
        return this.#retain(operation, action);
      case "erase":
        return this.#erase(action);
      case "activate":
        return this.#activate();
      case "add version":
        return this.#addVersion(operation, action);
      case "drop":
        return this.#drop();
    }
  }

  /** The moment whose rows the vector of a user must know; null: nobody has promised anything. */
  dueSince(version: Version, user: string): number | null {
    const isSame = (other: Version) => categoryOf(other) === categoryOf(version);
    const byHand = this.#computed.flatMap((one) => (isSame(one.version) ? one.since : []));
    const due = Math.max(...byHand, ...this.#streamed(version, user));
    return Number.isFinite(due) ? due : null;
  }

  #streamed({ feature, version }: Version, user: string): number[] {
    const before = version === 1 ? new Set<number>() : this.#sentBefore.get(categoryOf({ feature, version }));
    if (feature !== "stream" || !before) return [];
    return this.#w.rows
      .touching(user)
      .flatMap(({ operation, moment }) => (before.has(operation) ? [] : moment));
  }

  /** How each job has ended: those that are done promise what an answer at once would have. */
  async jobsEnd(): Promise<void> {
    for (const one of this.#computed) {
      if (one.job === null) continue;
      const job = (await this.#w.asking.read(`/jobs/${one.job}`)) ?? {};
      const whyFailed = job.status === "failed" ? job.error : null;
      if (whyFailed === OVERTAKEN) this.counts.overtaken += 1;
      else if (whyFailed === ERASED && this.#areErased) this.counts.cutOff += 1;
      else if (job.status !== "done" || job.computed !== job.total || !isEachOnce(job.skipped))
        this.#w.complain(`job ${one.job} is ${JSON.stringify(job)}`);
      if (job.status !== "done") one.since = Number.NEGATIVE_INFINITY;
    }
  }

  async #ingest(operation: number, { rows, hasKey }: Of<"ingest">): Promise<void> {
    const { asking, rows: judge, columns, registered, complain } = this.#w;
    judge.send(operation, rows);
    const mustFit = columns.mustTake(rows);
    this.#sent.add(operation);
    const isGone = this.#isDropAcknowledged;
    const body = { raw_table_id: registered.tableId, data: rows.map(rowBody) };
    const asked = { method: "POST", path: "/ingest", body } as const;
    const reply = await asking.keyed(asked, [200, 400, 404], { operation, hasKey });
    if (!reply) return;
    if (reply.status === 400) {
      this.counts.unfit += 1;
      judge.refuse(operation);
    }
    if (reply.status === 400 ? mustFit : reply.status === 200 && !columns.mayTake(rows))
      complain(`ingest ${operation} does${mustFit ? "" : " not"} fit its table, and is ${reply.text}`);
    if (reply.status === 400) return;
    if (reply.status === 404 ? !judge.isDropped : isGone)
      complain(`ingest ${operation} is ${reply.status} ${reply.text}`);
    if (reply.status === 404) return;
    const { rows_ingested: ingested, row_count: total } = JSON.parse(reply.text);
    judge.acknowledge(operation, { ingested, total });
  }

  async #compute(operation: number, { feature, version: number, hasKey }: Of<"compute">): Promise<void> {
    const { asking, rows, complain } = this.#w;
    const since = rows.now;
    const version = { feature, version: number };
    const isThere = number === 1 || this.#sentBefore.has(categoryOf(version));
    const asked = { method: "POST", path: `/features/${feature}/compute?version=${number}` } as const;
    const reply = await asking.keyed(asked, [200, 202, 404, 409], { operation, hasKey });
    if (!reply) return;
    if (reply.status === 404) {
      if (isThere) complain(`${categoryOf(version)} is there, and its computation is ${reply.text}`);
      return;
    }
    if (reply.status === 409) {
      this.counts.overtaken += 1;
      return;
    }
    const answer = JSON.parse(reply.text);
    const computed = { version, since, job: answer.job_id ?? null };
    this.#computed.push(computed);
    if (answer.job_id) this.counts.jobs += 1;
    await this.#judgeAnswer(operation, answer, computed);
  }

  /** It tells of every group of the rows that were there while it was asked, and of no vector that is not there. */
  async #judgeAnswer(operation: number, answer: ComputeAnswer, { version, since }: Computed): Promise<void> {
    const { rows, vectors, complain } = this.#w;
    const { skipped, skipped_count: skips } = answer;
    const told = (answer.total ?? answer.computed) + skips;
    const moments = rows.moments.slice(since);
    const groups = moments.map((moment) => groupsOf(version, moment));
    const isOdd = skipped.some(({ reason }) => !SKIPS.includes(reason)) || skipped.length !== skips;
    const stored = await really(vectors);
    const isWritten = (user: string) => {
      const vector = stored.get(`${categoryOf(version)} ${user}`);
      return vector && moments.some((moment) => vectorOf(version, user, moment)?.data === vector.data);
    };
    const written = USERS.filter(isWritten).length;
    if (isOdd || !groups.includes(told) || answer.computed > written)
      complain(
        `operation ${operation} was told ${JSON.stringify(answer)} of ${groups} entities, ${written} written`,
      );
  }

  async #write(operation: number, { entity, n, hasKey }: Of<"write">): Promise<void> {
    const path = `/items/${entity}?entity_type=bright_uid`;
    const asked = { method: "POST", path, body: { plain: { x: n } } } as const;
    await this.#w.asking.keyed(asked, [200], { operation, hasKey });
  }

  async #retain(operation: number, { days }: Of<"retain">): Promise<void> {
    const { asking, rows, complain } = this.#w;
    // Told from all others.
    const own = days === null ? null : days + operation / 10_000;
    const sent = rows.retention;
    const asked = { method: "PATCH", path: this.#table, body: { retention_days: own } } as const;
    const reply = await asking.until(asked, [200, 404]);
    if (reply?.status === 200) rows.retained(own, sent);
    else if (reply && !rows.isDropped) complain(`operation ${operation} is ${reply.text}`);
  }

  async #erase({ user }: Of<"erase">): Promise<void> {
    const { asking, rows, written, complain } = this.#w;
    this.#areErased = true;
    const erasure = rows.erase(user);
    let isLost = false;
    const path = `${this.#table}/rows?column=user&value=${user}`;
    const reply = await asking.until({ method: "DELETE", path }, [200, 404], () => {
      isLost = true;
      erasure.since = rows.now;
    });
    if (reply?.status !== 200) {
      if (reply && !rows.isDropped) complain(`the table is there, and its rows are ${reply.text}`);
      return;
    }
    this.counts.erasures += 1;
    if (!isLost) erasure.until = rows.now;
    rows.erased(erasure, JSON.parse(reply.text).rows_removed);
    const known = new Set((await really(written)).map(({ id }) => id));
    this.erased.push({ user, since: rows.now, known });
  }

  async #drop(): Promise<void> {
    const { asking, rows, complain } = this.#w;
    const reply = await asking.until({ method: "DELETE", path: this.#table }, [200, 404]);
    if (reply && !rows.isDropped) complain(`the table is ${reply.text}, and is there`);
    if (reply) this.#isDropAcknowledged = true;
  }

  async #activate(): Promise<void> {
    const asked = {
      method: "PATCH",
      path: "/features/stream/versions/2",
      body: { status: "active" },
    } as const;
    if (await this.#w.asking.until(asked, [200])) this.#isActive("stream@2");
  }

  /** It is computed from then on. */
  #isActive(category: string): void {
    if (!this.#sentBefore.has(category)) this.#sentBefore.set(category, new Set(this.#sent));
  }

  /** Where its column was answered before, nothing is against it. */
  async #addVersion(operation: number, { feature }: Of<"add version">): Promise<void> {
    const { asking, columns, complain } = this.#w;
    const { column, sql } = SQL_OF_ADDED[feature];
    const mustFit = columns.isPromised(column);
    const body = { version: 3, computation_logic: sql, status: "active" };
    const asked = { method: "POST", path: `/features/${feature}/versions`, body } as const;
    const reply = await asking.until(asked, [200, 201, 422]);
    if (!reply) return;
    const isThere = columns.registered.some(([name]) => name === column);
    if (reply.status === 422 ? mustFit : !isThere)
      complain(`operation ${operation} reads ${column}, and is ${reply.text}`);
    if (reply.status === 422) return;
    this.counts.versionsAdded += 1;
    this.#isActive(categoryOf({ feature, version: 3 }));
  }

  get #table(): string {
    return `/raw-tables/${this.#w.registered.tableId}`;
  }
}

const isEachOnce = (skipped: { row: number }[]) =>
  new Set(skipped.map(({ row }) => row)).size === skipped.length;

/** Of a computation that is done, or that goes on as a job. */
interface ComputeAnswer {
  computed: number;
  total?: number;
  skipped: { reason: string }[];
  skipped_count: number;
}

function rowBody({ user, amount, atSecond, added }: PlannedRow) {
  const at = atSecond === null ? null : new Date(START_MS + atSecond * 1_000).toISOString();
  return { user, amount, at, ...added };
}
