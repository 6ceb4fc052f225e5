/**
 * Sends writes, several requests at a time, and counts what becomes of their rows.
 *
 * The store goes by event times, so requests may overtake each other, and come again; only of equal event times the later
 * arrival counts. So a request waits for those under way that have the same entity at the same time: then the later row
 * of the files counts, however many requests are under way.
 */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { BATCH_PATH, type BatchResult, resultsOf } from "../items-batch.ts";
import { type Answer, CommandFault, detailOf, type Service } from "../service.ts";
import { type BodyOptions, batchBody, joined, orderKey, type RowWrite } from "./requests.ts";
import type { Reject, Tally } from "./tally.ts";

/** Where so many rows were sent and all of them refused, the others are no better. */
const MAX_REJECTED_ALONE = 5_000;

const UNKNOWN_ENTITY_TYPE = "unknown_entity_type";

type Reason = NonNullable<BatchResult["reason"]>;

interface Sending {
  service: Pick<Service, "postText">;
  tally: Tally;
  /** Requests at a time. */
  concurrency: number;
  /** Rows a second, at most; null: as many as the service takes. */
  rate: number | null;
  options: BodyOptions;
  /** Called for each row that is refused. */
  reject: (rejected: Reject) => void;
  /** Called with the number of rows whose fate is known by now. */
  settled: (rows: number) => void;
}

export class Sender {
  readonly #sending: Sending;
  /** With the order keys of its rows. */
  readonly #underWay = new Map<Promise<void>, ReadonlySet<string>>();
  #failure: { cause: unknown } | null = null;
  #nextMs = 0;

  constructor(sending: Sending) {
    this.#sending = sending;
  }

  /** Returns when the request is under way. @throws CommandFault when an earlier one has failed for good. */
  async send(writes: readonly RowWrite[]): Promise<void> {
    const keys = new Set(writes.map(orderKey));
    await this.#waitUntil(() => this.#underWay.size < this.#sending.concurrency && !this.#isUnderWay(keys));
    const rows = rowsIn(writes);
    await this.#pace(rows);
    const sent: Promise<void> = this.#write(writes)
      .then(() => this.#sending.settled(rows))
      .catch((cause: unknown) => {
        this.#failure ??= { cause };
      })
      .finally(() => this.#underWay.delete(sent));
    this.#underWay.set(sent, keys);
  }

  /** Waits for all. @throws CommandFault when one has failed for good. */
  async end(): Promise<void> {
    await Promise.all(this.#underWay.keys());
    if (this.#failure) throw this.#failure.cause;
  }

  async #waitUntil(isTrue: () => boolean): Promise<void> {
    while (!this.#failure && !isTrue()) await Promise.race(this.#underWay.keys());
    if (this.#failure) throw this.#failure.cause;
  }

  #isUnderWay(keys: ReadonlySet<string>): boolean {
    return [...this.#underWay.values()].some((others) => !others.isDisjointFrom(keys));
  }

  async #pace(rows: number): Promise<void> {
    const { rate } = this.#sending;
    if (rate === null) return;
    const nowMs = performance.now();
    const startMs = Math.max(nowMs, this.#nextMs);
    this.#nextMs = startMs + (rows * 1_000) / rate;
    await sleep(startMs - nowMs);
  }

  async #write(writes: readonly RowWrite[]): Promise<void> {
    const { service, options, tally } = this.#sending;
    const answer = await service.postText(BATCH_PATH, batchBody(writes, options));
    if (answer.status === 413 || answer.status === 422) return this.#withoutFaulty(writes, answer);
    const results = resultsOf(answer);
    if (results.length !== writes.length) {
      throw new CommandFault(`POST ${BATCH_PATH}: ${results.length} results for ${writes.length} rows`);
    }
    for (const [position, write] of writes.entries()) {
      const result = results[position];
      if (result?.outcome === "rejected") await this.#refused(write, result.reason);
      else if (result) tally.outcomes[result.outcome] += write.rows.length;
    }
    this.#assertSomeTaken();
  }

  /** The service takes a request whole or refuses it: it comes again without the rows that it has named. */
  async #withoutFaulty(writes: readonly RowWrite[], answer: Answer): Promise<void> {
    const faults = faultyRows(answer);
    if (faults === "elsewhere") throw new CommandFault(`POST ${BATCH_PATH}: ${detailOf(answer)}`);
    for (const [position, detail] of faults) {
      const write = writes[position];
      if (write) await this.#refused(write, { type: "", detail });
    }
    const rest = writes.filter((_, position) => !faults.has(position));
    if (faults.size > 0) {
      if (rest.length > 0) await this.#write(rest);
      return this.#assertSomeTaken();
    }
    const [only, ...others] = writes;
    if (only && others.length === 0) return this.#refused(only, { type: "", detail: detailOf(answer) });
    const half = Math.ceil(writes.length / 2);
    await this.#write(writes.slice(0, half));
    await this.#write(writes.slice(half));
  }

  /** Of rows that were joined one may be at fault alone: they come again by halves, the later ones after the earlier. */
  async #refused(write: RowWrite, reason: Reason | undefined): Promise<void> {
    const { parts = [] } = write;
    if (parts.length < 2 || reason?.type === UNKNOWN_ENTITY_TYPE) return this.#reject(write, reason);
    const half = Math.ceil(parts.length / 2);
    for (const some of [parts.slice(0, half), parts.slice(half)]) {
      await this.#write([joined(some, this.#sending.options.mode)]);
    }
  }

  /** @throws CommandFault for a reason that every row has. */
  #reject({ file, rows }: RowWrite, reason: Reason | undefined): void {
    const { reject } = this.#sending;
    if (reason?.type === UNKNOWN_ENTITY_TYPE) {
      throw new CommandFault(reason.detail.replace(/^entity_type:/, "The entity type"));
    }
    for (const { place, raw } of rows)
      reject({ file, place, reason: reason?.detail ?? "rejected", row: raw });
  }

  #assertSomeTaken(): void {
    const { tally } = this.#sending;
    if (tally.written > 0 || tally.rejected < MAX_REJECTED_ALONE) return;
    const [[reason] = [""]] = tally.reasons;
    throw new CommandFault(`The first ${tally.rejected} rows were all rejected: ${reason}`);
  }
}

const rowsIn = (writes: readonly RowWrite[]) => writes.reduce((sum, { rows }) => sum + rows.length, 0);

const refusal = z.object({
  errors: z.array(z.object({ loc: z.array(z.union([z.string(), z.number()])), msg: z.string() })),
});

/** The rows that an answer names, by their position in the request; `elsewhere`: what is wrong is in no row. Pure. */
export function faultyRows({ body }: Pick<Answer, "body">): Map<number, string> | "elsewhere" {
  const { data } = refusal.safeParse(body);
  const faults = new Map<number, string>();
  for (const { loc, msg } of data?.errors ?? []) {
    const [, part, position, ...place] = loc;
    if (part !== "data" || typeof position !== "number") return "elsewhere";
    if (!faults.has(position)) faults.set(position, `${place.join(".")} ${msg}`);
  }
  return faults;
}
