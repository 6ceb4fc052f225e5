/**
 * The Durable Object in which the counts of all isolates add up.
 *
 * They are in memory, and written down every few seconds while they change. What is written down holds the counts and
 * which flushes are in them, so after a crash both are of the same moment: a flush that is repeated then counts.
 *
 * What a scrape was shown is on disk before it is shown. Otherwise a counter could be lower after a restart than a
 * Prometheus has seen it, which it would take for a reset, adding all of it once more.
 */
import { DurableObject } from "cloudflare:workers";
import { rowsOf, run } from "../db/object-sql.ts";
import { MAX_TOTALS_ROW_CHARACTERS } from "../limits.ts";
import { METRICS_PERSIST_MS } from "../timings.ts";
import type { Flush } from "./isolate-metrics.ts";
import type { MetricCounts } from "./metric-counts.ts";
import type { Gauges } from "./prometheus.ts";
import { addFlush, forgetIsolates, GaugeReadings, noTotals, type StoredTotals } from "./totals.ts";

export interface Totals {
  counts: MetricCounts;
  gauges: Gauges;
}

export class MetricsTotals extends DurableObject<Env> {
  readonly #totals: StoredTotals;
  readonly #gauges = new GaugeReadings();
  #isWritten = true;
  #isAlarmSet = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    run(ctx.storage.sql, "CREATE TABLE IF NOT EXISTS totals (chunk INTEGER PRIMARY KEY, text TEXT NOT NULL)");
    this.#totals = this.#load();
  }

  /** Adds a flush. The same one twice is once. */
  async add(flush: Flush): Promise<void> {
    const nowMs = Date.now();
    this.#gauges.note(flush.gauges, nowMs);
    if (!addFlush(this.#totals, flush, nowMs)) return;
    this.#isWritten = false;
    if (this.#isAlarmSet) return;
    this.#isAlarmSet = true;
    // Another instance may have set one that is nearer; a later one only writes a little later.
    await this.ctx.storage.setAlarm(nowMs + METRICS_PERSIST_MS);
  }

  async read(): Promise<Totals> {
    this.#write();
    return { counts: this.#totals.counts, gauges: this.#gauges.merged(Date.now()) };
  }

  override async alarm(): Promise<void> {
    this.#isAlarmSet = false;
    forgetIsolates(this.#totals, Date.now());
    this.#write();
  }

  #load(): StoredTotals {
    const rows = rowsOf<{ text: string }>(this.ctx.storage.sql, "SELECT text FROM totals ORDER BY chunk");
    const text = rows.map((row) => row.text).join("");
    return text === "" ? noTotals() : (JSON.parse(text) as StoredTotals);
  }

  /** Synchronous, so nothing is added meanwhile, and all rows are of one transaction. */
  #write(): void {
    if (this.#isWritten) return;
    const text = JSON.stringify(this.#totals);
    const { sql } = this.ctx.storage;
    const chunks = Math.ceil(text.length / MAX_TOTALS_ROW_CHARACTERS);
    this.ctx.storage.transactionSync(() => {
      for (let chunk = 0; chunk < chunks; chunk++) {
        const part = text.slice(chunk * MAX_TOTALS_ROW_CHARACTERS, (chunk + 1) * MAX_TOTALS_ROW_CHARACTERS);
        run(
          sql,
          "INSERT INTO totals VALUES (?, ?) ON CONFLICT (chunk) DO UPDATE SET text = excluded.text",
          chunk,
          part,
        );
      }
      run(sql, "DELETE FROM totals WHERE chunk >= ?", chunks);
    });
    this.#isWritten = true;
  }
}
