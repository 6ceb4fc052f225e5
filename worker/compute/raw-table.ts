/**
 * The Durable Object of one raw table of one tenant: its rows, and the sandbox in which its SQL runs.
 *
 * It neither serves nor writes features, so the heaviest query of a tenant slows nobody but that table's own ingest.
 * All its tables are called `fs_…`, names that the gate keeps out of the tenant's SQL; `data` exists only inside the
 * transaction of a query, which is always rolled back.
 */
import { DurableObject } from "cloudflare:workers";
import type { Idempotency } from "../db/idempotency-record.ts";
import { forgetAll } from "../db/object-sql.ts";
import { settings } from "../env.ts";
import { rawTableName } from "../keys.ts";
import { MAX_RAW_ROWS, MAX_RAW_TABLE_BYTES, MAX_UNFINISHED_JOBS } from "../limits.ts";
import { Log } from "../log.ts";
import { formatTimestamp, nowMicros } from "../timestamps.ts";
import {
  AGED_ROWS_ALARM_MS,
  FOLLOWER_LEASE_MS,
  RECOMPUTE_ALARM_MS,
  REGISTRY_CHANGE_ALARM_MS,
} from "../timings.ts";
import { AnswersUnderWay } from "./answers-under-way.ts";
import type { Erasure } from "./chosen-rows-store.ts";
import type { Computation, Debt, WhyNotWritten } from "./computation-store.ts";
import type { ComputeReply, ComputeRequest, Version } from "./compute-request.ts";
import { type Erased, Eraser } from "./eraser.ts";
import type { Claim, Follower } from "./follower-store.ts";
import { type GivenPage, type JobPageRequest, JobStore } from "./job-store.ts";
import { owedWork } from "./owed-work.ts";
import { Purger, type TableId } from "./purger.ts";
import type { ColumnType, RawSchema } from "./raw-columns.ts";
import { type IngestReply, type IngestRequest, RawTableStore, type TableNumbers } from "./raw-table-store.ts";
import { type RowPage, type RowsRequest, readRows } from "./read-rows.ts";
import { findRawTable, type RegisteredTable } from "./registered-tables.ts";
import { nextLookMs } from "./registry-entry-store.ts";
import { vectorsOverTable } from "./run-over-table.ts";
import { type CheckResult, type ColumnChange, checkAgainstSchema, staysAsItIs } from "./sql/run.ts";

export class RawTable extends DurableObject<Env> {
  #store: RawTableStore;
  #jobs: JobStore;
  readonly #purger: Purger;
  readonly #eraser: Eraser;
  readonly #underWay = new AnswersUnderWay();
  #isDropped: boolean;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#store = new RawTableStore(ctx.storage);
    this.#jobs = new JobStore(ctx.storage);
    this.#isDropped = this.#store.entry.isDropped();
    this.#purger = new Purger({
      env,
      registered: (table) => this.#registered(table),
      rows: () => (this.#isDropped ? null : this.#store.agedRows),
      rowsHaveGone: () => this.#store.followers.rowsHaveGone(this.#store.lastIngest()),
      ensureAlarm: (inMs) => this.#ensureAlarm(inMs),
    });
    this.#eraser = new Eraser({
      store: () => this.#store,
      jobs: () => this.#jobs,
      ensureAlarm: () => this.#ensureAlarm(),
    });
  }

  /** Keeps all rows or none. Where they have no room, those go first that are older than the table keeps them. */
  async ingest(request: IngestRequest): Promise<IngestReply | { kind: "dropped" }> {
    if (this.#isDropped || !this.#store.table()) await this.#findEntry(request.table);
    // First, since a crash may come right after the rows: an alarm too many finds nothing to do.
    if (request.followers.length > 0) await this.#ensureAlarm();
    // That of a request which does not know of the retention yet may be the first since the last row went.
    if (request.isRetained || this.#store.agedRows.isBegun()) await this.#ensureAlarm(AGED_ROWS_ALARM_MS);
    const reply = this.#ingest(request);
    if (reply.kind !== "full" || !request.isRetained) return reply;
    for await (const { removed } of this.#purger.steps(request.table)) {
      if (removed === 0) continue;
      const again = this.#ingest(request);
      if (again.kind !== "full") return again;
    }
    return this.#ingest(request);
  }

  #ingest(request: IngestRequest): IngestReply | { kind: "dropped" } {
    if (this.#isDropped) return { kind: "dropped" };
    this.#eraser.rowsCome();
    return this.#store.ingest(request, { rows: MAX_RAW_ROWS, bytes: MAX_RAW_TABLE_BYTES });
  }

  /**
   * An object that knows of no table may have dropped it, if a crash came before that was noted. One that was dropped is
   * back in the registry where D1 was put back to before the table, and forward again; it may be deleted while the
   * registry is asked: so it looks once more, and one that is dropped meanwhile stays so.
   */
  async #findEntry(table: TableId): Promise<void> {
    const wasDropped = this.#isDropped;
    const isRegistered = (await this.#registered(table)) !== null;
    if (!isRegistered && !this.#isDropped) await this.drop();
    if (!isRegistered || !wasDropped) return;
    this.#isDropped = false;
    this.#store.entry.forgetDropped();
    await this.expectChange(table);
  }

  /** How long rows are kept is changing, or has changed: looks when that is decided, even if nobody says so. */
  async retentionChanges(table: TableId): Promise<void> {
    this.#purger.retentionChanges();
    await this.expectChange(table);
  }

  async numbers(): Promise<TableNumbers> {
    return this.#store.numbers();
  }

  async rows(request: RowsRequest): Promise<RowPage> {
    return readRows(() => this.#store.chosenRows, request);
  }

  async erase(schema: RawSchema, erasure: Erasure): Promise<Erased> {
    return this.#eraser.erase(schema, erasure);
  }

  /** The columns of its rows: in the registry there may be more, and fewer where that was put back to an earlier time. */
  async columns(): Promise<{ name: string; type: ColumnType }[]> {
    return this.#store.columns.all().map(([name, type]) => ({ name, type }));
  }

  /** Which of these statements would fail, or mean something else, were there columns more. */
  async changedBy(columns: ColumnChange, statements: string[]): Promise<number[]> {
    return statements.flatMap((sql, i) => (staysAsItIs(this.ctx.storage, sql, columns) ? [] : [i]));
  }

  /** Proves that SQL prepares against these columns; answers the columns of its result. */
  async check(schema: RawSchema, sql: string): Promise<CheckResult> {
    // Who computes it may have read the registry before it had all of these, and has the columns of the rows then.
    const { columns } = this.#store.columns.widened(schema);
    return checkAgainstSchema(this.ctx.storage, sql, columns);
  }

  async compute(request: ComputeRequest): Promise<ComputeReply> {
    const { entityKey, job } = request;
    const schema = this.#store.columns.widened(request.schema);
    this.#eraser.computes(entityKey);
    const made = vectorsOverTable(this.ctx.storage, this.#store, { ...request, schema });
    if (made.kind !== "vectors") return made;
    const { computed, skipped, skippedCount, steps } = made;
    const undated = computed.filter(({ timestamp }) => timestamp === null);
    if (undated.length > 0) {
      // What its rows have no time for, or the clock a part in, is of now, so that one over fewer rows is older, whenever
      // it is written. Taken after the query, so never before the time that the query has read.
      const asOf = formatTimestamp(this.#store.tick(nowMicros()));
      for (const row of undated) row.timestamp = asOf;
    }
    const seq = request.source.kind === "ingested" ? this.#store.lastIngest() : null;
    const { computations } = this.#store;
    const byHand = request.version &&
      seq !== null && {
        follower: { ...request.version, entityKey },
        entities: computed.map(({ entity }) => entity),
        seq,
      };
    if (!job || computed.length <= job.moreThan) {
      if (byHand && job) {
        // For the alarm: no row need ever have come.
        this.#store.noteTable(job.table);
        computations.begin(byHand);
        computations.give(job.jobId, byHand);
        await this.#ensureAlarm();
      }
      return { kind: "computed", computed, seq, skipped, skippedCount, steps };
    }
    // First, since a crash may come right after the rows, as with an ingest's.
    await this.#ensureAlarm();
    if (this.#jobs.count() >= MAX_UNFINISHED_JOBS) return { kind: "too_many_jobs" };
    // Not of one that is refused: it writes nothing.
    if (byHand) computations.begin(byHand);
    this.#jobs.keep(job.jobId, computed, seq);
    this.#store.noteTable(job.table);
    return { kind: "kept", total: computed.length, skipped, skippedCount };
  }

  /**
   * What an earlier request with the same key was answered, which may have been another one. Null: nothing, and it is for
   * this one to compute, and then to keep its answer or to give up.
   */
  async earlierAnswer(key: string): Promise<{ fingerprint: string; reply: string } | null> {
    return this.#underWay.answerOrBegin(key, () => this.#store.replies.earlier<string>(key));
  }

  /** @returns the answer that is kept: where another one was first, that. */
  async keepAnswer(idempotency: Idempotency, answer: string): Promise<string> {
    const { replies } = this.#store;
    if (!this.#isDropped) replies.keep(idempotency, answer);
    this.#underWay.end(idempotency.key);
    return replies.earlier<string>(idempotency.key)?.reply ?? answer;
  }

  async giveUp(key: string): Promise<void> {
    this.#underWay.end(key);
  }

  /** Before a computation by hand over the rows up to ingest `seq` is written. Null: it may be. */
  async mayWrite(id: string, version: Version, seq: number): Promise<WhyNotWritten | null> {
    const { computations } = this.#store;
    const isOvertaken = computations.isOvertaken(version, seq);
    if (!isOvertaken && computations.renew(id)) return null;
    computations.end(id);
    return isOvertaken ? "overtaken" : "erased";
  }

  /** Before what was given out is written, or more of it. False: rows were erased since, or it is taken for dead. */
  async mayGoOn(id: string): Promise<boolean> {
    return this.#store.computations.renew(id);
  }

  /**
   * The next rows of a job. `whyNot`: they are not to be written, as with {@link mayWrite}. Where rows were erased, nobody
   * else may have begun to compute the version: so it is computed again.
   */
  async jobPage(jobId: string, { pageId, follower, ...request }: JobPageRequest): Promise<GivenPage> {
    const page = this.#jobs.page(jobId, request);
    const { rows, seq } = page;
    if (seq === null) return { ...page, whyNot: null };
    const { computations } = this.#store;
    if (computations.isOvertaken(follower, seq)) return { ...page, whyNot: "overtaken" };
    if (!computations.isErasedSince(seq)) {
      computations.give(pageId, { follower, entities: rows.map(({ entity }) => entity), seq });
      return { ...page, whyNot: null };
    }
    await this.#ensureAlarm();
    this.#store.computeWhole(follower);
    return { ...page, whyNot: "erased" };
  }

  /** @param end `forgotten`: nothing is registered of it, which may be only just on its way. */
  async dropJob(jobId: string, end: "ended" | "forgotten"): Promise<void> {
    if (end === "ended") this.#jobs.drop(jobId);
    else this.#jobs.dropForgotten(jobId);
  }

  /** @param holder The consumer that will compute them; no other gets any before it is done, or too slow. */
  async claim(follower: Follower, holder: string, limit: number): Promise<Claim> {
    const { followers, computations } = this.#store;
    const seq = this.#store.lastIngest();
    const claim = followers.claim(follower, holder, { limit, upTo: seq });
    if (claim.kind !== "entities") return claim;
    // Of what it was cut off from it has written nothing.
    computations.end(holder);
    computations.give(holder, { follower, entities: claim.entities, seq });
    // Not sooner, so that what fails again and again is asked for later and later.
    await this.#ensureAlarm(FOLLOWER_LEASE_MS);
    return claim;
  }

  /**
   * The holder has written all these entities, up to ingest `upTo`, or has failed at it. Where it has lost its lease another
   * one may have written newer vectors before it, which the older ones then stand on; where rows were erased meanwhile it has
   * not written all, or not of what is left: so they are computed once more.
   */
  async followed(
    follower: Follower,
    holder: string,
    { entities, upTo, isWritten }: { entities: string[]; upTo: number; isWritten: boolean },
  ): Promise<void> {
    const { followers, computations } = this.#store;
    const isLast = followers.isHeldBy(follower, holder) && !computations.isCutOff(holder);
    if (!isLast || !isWritten) await this.#ensureAlarm();
    this.#ends(holder, { follower, entities, seq: upTo }, isWritten);
    if (!isLast) followers.retouch(follower, entities, this.#store.countIngest());
    else if (isWritten) followers.followed(follower, upTo);
  }

  async release(follower: Follower, holder: string, failsUpTo: number | null): Promise<void> {
    const { followers, computations } = this.#store;
    // Who has lost it, or was failed by a store, may have written what others have not computed since.
    if (failsUpTo !== null && followers.isHeldBy(follower, holder)) computations.end(holder);
    followers.release(follower, holder, failsUpTo);
  }

  /**
   * The computation by hand, or a page of it, has been written or has failed at it; see {@link RawTableStore.computeAgain}.
   *
   * @returns whether the queue must be told.
   */
  async written(id: string, computation: Computation, isWritten: boolean): Promise<boolean> {
    if (!isWritten || this.#store.lastIngest() !== computation.seq) await this.#ensureAlarm();
    this.#ends(id, computation, isWritten);
    return this.#store.computeAgain(computation);
  }

  /**
   * What has failed may still be on its way to the writers, or with them: until nothing can come of that any more it stays
   * noted, as if nothing had been heard of it.
   */
  #ends(id: string, computation: Computation, isWritten: boolean): void {
    const { computations } = this.#store;
    computations.end(id);
    if (!isWritten) computations.give(id, computation);
  }

  /** The number of the last ingest, and the versions that are to be computed as a whole. */
  async owed(): Promise<{ lastIngest: number; debts: Debt[] }> {
    return { lastIngest: this.#store.lastIngest(), debts: this.#store.computations.debts() };
  }

  async pay(debt: Debt): Promise<void> {
    this.#store.computations.pay(debt);
  }

  /**
   * Only these versions are recomputed from this table any more.
   *
   * @param asOf The last ingest before they were read. One that has come since may be owed to a version that was
   * activated since: then nothing changes, and its own message brings a newer list.
   */
  async keepFollowers(followers: Follower[], asOf: number): Promise<void> {
    if (this.#store.lastIngest() === asOf) this.#store.followers.keep(followers);
  }

  /**
   * The table may be another, or gone, in a moment: looks when that is decided, even if nobody says so. No row need have
   * come yet. One alarm is set at most, and an earlier one finds what was there before: it sets this one again.
   *
   * @param change `deletion`: when the table is gone, that is meant, and its rows go.
   */
  async expectChange(table: TableId, change: "change" | "deletion" = "change"): Promise<void> {
    this.#store.noteTable(table);
    this.#store.entry.expectChange(Date.now() + REGISTRY_CHANGE_ALARM_MS, change === "deletion");
    await this.#ensureAlarm(REGISTRY_CHANGE_ALARM_MS);
  }

  /** Forgets everything but that: rows on their way here find it dropped, in a new instance too. @returns how many it had. */
  async drop(): Promise<number> {
    this.#isDropped = true;
    const { rows } = this.#store.numbers();
    await forgetAll(this.ctx.storage);
    // Who still asks finds an empty table, not a missing one.
    this.#store = new RawTableStore(this.ctx.storage);
    this.#jobs = new JobStore(this.ctx.storage);
    this.#store.entry.noteDropped();
    return rows;
  }

  /**
   * A message may be lost with a local queue, or the crash came before it was sent: the table asks again. The same crash
   * may have come between the table's entry in the registry and its rows.
   */
  override async alarm(): Promise<void> {
    const table = this.#store.table();
    if (!table) return;
    const { tenant, tableId } = table;
    const about = { tenant_id: tenant, table_id: tableId };
    const log = Log.of("raw-table", settings(this.env));
    let registered: RegisteredTable | null;
    try {
      registered = await this.#registered(table);
    } catch (cause) {
      log.error("the table could not be read", cause, about);
      return this.ctx.storage.setAlarm(Date.now() + RECOMPUTE_ALARM_MS);
    }
    const nowMs = Date.now();
    if (!registered) {
      // What came after it was dropped, such as the rows of a job, goes with the table.
      const lookInMs = this.#isDropped ? null : nextLookMs(this.#store.entry.missing(nowMs), nowMs);
      if (lookInMs === null) {
        await this.drop();
        return;
      }
      log.warning("the table is not in the registry: its rows are kept for some time", about);
      return this.ctx.storage.setAlarm(nowMs + lookInMs);
    }
    const changingMs = this.#store.entry.found(nowMs);
    if (changingMs > 0) await this.#ensureAlarm(changingMs);
    await this.#purger.byAlarm(table, registered);
    const owed = owedWork(this.#store, this.#jobs, table);
    if (!owed) return;
    const { messages, versions, jobs, nextInMs } = owed;
    if (messages.length > 0) log.info("asking again for what is not computed", { ...about, versions, jobs });
    // Before sending: when the queue fails, or this process does, the next alarm stands.
    await this.#ensureAlarm(nextInMs);
    for (const message of messages) await this.env.FEATURE_COMPUTE.send(message);
  }

  /** Null as well where the registry was put back to an earlier time and has given the id to another table since. */
  async #registered({ tenant, tableId }: TableId): Promise<RegisteredTable | null> {
    const found = await findRawTable(this.env.DB, tenant, tableId);
    const isThis = found && this.env.RAW_TABLE.idFromName(rawTableName(tenant, found)).equals(this.ctx.id);
    return isThis ? found : null;
  }

  async #ensureAlarm(inMs = RECOMPUTE_ALARM_MS): Promise<void> {
    const dueMs = Date.now() + inMs;
    const setMs = await this.ctx.storage.getAlarm();
    if (setMs === null || setMs > dueMs) await this.ctx.storage.setAlarm(dueMs);
  }
}
