/**
 * Lets the rows of a raw table go that are older than it keeps them, in steps between which others have their turn.
 *
 * How long rows are kept stands in the registry alone. It is read before the first step, and again once it has changed:
 * what somebody has just decided to keep is not removed.
 */
import { settings } from "../env.ts";
import { PURGE_STEPS_PER_ALARM } from "../limits.ts";
import { Log } from "../log.ts";
import { nowMicros } from "../timestamps.ts";
import { PURGE_RETRY_MS } from "../timings.ts";
import { sleep } from "../waits.ts";
import type { AgedRowsStore, PurgeStep } from "./aged-rows-store.ts";
import type { RegisteredTable } from "./registered-tables.ts";
import { nextPurgeMs, oldestKept } from "./row-retention.ts";

export interface TableId {
  tenant: string;
  tableId: number;
}

interface PurgedTable {
  env: Env;
  /** As the registry has it now; null once it has it no more. */
  registered: (table: TableId) => Promise<RegisteredTable | null>;
  /** Null once the table is dropped. */
  rows: () => AgedRowsStore | null;
  /** Called at once after each step that has removed some. */
  rowsHaveGone: () => void;
  ensureAlarm: (inMs: number) => Promise<void>;
}

export class Purger {
  readonly #object: PurgedTable;
  #changes = 0;

  constructor(object: PurgedTable) {
    this.#object = object;
  }

  /** The retention is about to change, or has: no step begins that goes by an earlier one. */
  retentionChanges(): void {
    this.#changes += 1;
  }

  /** One step at a time, until nothing is too old; whoever has enough stops asking. */
  async *steps(id: TableId): AsyncGenerator<PurgeStep, void> {
    for (;;) {
      const changes = this.#changes;
      const table = await this.#object.registered(id);
      if (!table || table.retentionDays === null) return;
      while (changes === this.#changes) {
        const step = this.#object.rows()?.purge(table.schema, oldestKept(nowMicros(), table.retentionDays));
        if (!step || step.visited === 0) return;
        if (step.removed > 0) this.#object.rowsHaveGone();
        yield step;
        // A timer, since a promise alone lets nobody in.
        await sleep(0);
      }
    }
  }

  /** Never fails: the table's alarm has other work to do. */
  async byAlarm(table: TableId, registered: Pick<RegisteredTable, "retentionDays">): Promise<void> {
    const about = { tenant_id: table.tenant, table_id: table.tableId };
    const log = Log.of("raw-table", settings(this.#object.env));
    try {
      const removed = await this.#purge(table, registered);
      if (removed > 0) log.info("old rows were removed", { ...about, rows: removed });
    } catch (cause) {
      log.error("old rows could not be removed", cause, about);
      await this.#object.ensureAlarm(PURGE_RETRY_MS);
    }
  }

  /** @returns how many rows went. */
  async #purge(table: TableId, { retentionDays }: Pick<RegisteredTable, "retentionDays">): Promise<number> {
    const { rows, ensureAlarm } = this.#object;
    if (retentionDays === null) {
      rows()?.end();
      return 0;
    }
    rows()?.begin();
    // First, since this may die on the way.
    if (rows()?.isAnyBefore(oldestKept(nowMicros(), retentionDays))) await ensureAlarm(PURGE_RETRY_MS);
    let [steps, removed] = [0, 0];
    for await (const step of this.steps(table)) {
      removed += step.removed;
      steps += 1;
      if (steps >= PURGE_STEPS_PER_ALARM) break;
    }
    const left = rows();
    if (!left || left.isEmpty()) return removed;
    const isMore = left.isAnyBefore(oldestKept(nowMicros(), retentionDays));
    await ensureAlarm(isMore ? 0 : nextPurgeMs(left.oldest(), retentionDays, nowMicros()));
    return removed;
  }
}
