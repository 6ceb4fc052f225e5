/**
 * The load generator, in a thread of its own: the runtime keeps its core. The same one is used for both sides of
 * every ratio.
 *
 * Closed loop: each connection sends its next request when it has the answer to the last. Fixed rate: request number
 * k is due at k / rate whatever became of those before it, and its latency counts from there; so a service that stalls
 * is not spared the requests that would have come meanwhile ("coordinated omission").
 */
import { createHistogram } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { parentPort } from "node:worker_threads";
import { Connection, type RawAnswer } from "./connection.ts";

export interface Job {
  port: number;
  /** Sent in turn, and again from the first; with `once` each a single time. */
  requests: Uint8Array[];
  once?: boolean;
  connections: number;
  durationMs: number;
  /** Requests a second; null: closed loop. */
  rate: number | null;
  /** Requests under way at the end get this long; ten seconds without it. */
  lastAnswerMs?: number;
}

export interface Measured {
  /** Of status 200. */
  answers: number;
  /** To the last answer: those under way at the end are waited for, else a slow service would seem to do nothing. */
  seconds: number;
  /** Other answers, by status or by what went wrong. */
  failures: Record<string, number>;
  /** Milliseconds. */
  p50: number;
  p99: number;
  max: number;
  /** `source` of a sample of the answers. */
  sources: Record<string, number>;
  bytesPerAnswer: number;
}

/** One answer in so many is looked into. */
const SAMPLED = 16;
/** Timers are a millisecond late or more; the rest of the way to a due time the loop turns. */
const SPIN_MS = 1.5;
const LAST_ANSWER_MS = 10_000;

export async function measure(job: Job): Promise<Measured> {
  const run = new Run(job);
  await run.open();
  await (job.rate === null ? run.closedLoop() : run.atRate(job.rate));
  return run.end();
}

class Run {
  readonly #job: Job;
  readonly #latencies = createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 });
  readonly #failures: Record<string, number> = {};
  readonly #sources: Record<string, number> = {};
  #connections: Connection[] = [];
  #isOver = false;
  #sent = 0;
  #answers = 0;
  #bytes = 0;
  /** When the requests under way were due, by a number of theirs. */
  readonly #underWay = new Map<number, number>();
  #startMs = 0;
  #untilMs = 0;
  #lastAnswerMs = 0;

  constructor(job: Job) {
    this.#job = job;
  }

  async open(): Promise<void> {
    const { port, connections, durationMs } = this.#job;
    const ended = (cause: Error) => {
      if (this.#isOver) return;
      this.#fail(cause.message);
      this.#isOver = true;
    };
    const opening = Array.from({ length: connections }, () => Connection.open(port, ended));
    this.#connections = await Promise.all(opening);
    this.#startMs = performance.now();
    this.#untilMs = this.#startMs + durationMs;
  }

  async closedLoop(): Promise<void> {
    const turn = (connection: Connection) => {
      const nowMs = performance.now();
      if (this.#hasMore() && nowMs < this.#untilMs) this.#exchange(connection, nowMs, () => turn(connection));
    };
    this.#connections.forEach(turn);
    await this.#lastAnswers(() => this.#underWay.size > 0);
  }

  async atRate(perSecond: number): Promise<void> {
    const due: number[] = [];
    const serve = () => {
      for (const connection of this.#connections) {
        const dueMs = due[0];
        if (dueMs === undefined) return;
        if (!connection.isFree) continue;
        due.shift();
        this.#exchange(connection, dueMs, serve);
      }
    };
    const total = Math.floor((this.#job.durationMs / 1_000) * perSecond);
    for (let k = 0; k < total && this.#hasMore(); k += 1) {
      const dueMs = this.#startMs + (k * 1_000) / perSecond;
      await reach(dueMs);
      due.push(dueMs);
      serve();
    }
    await this.#lastAnswers(() => this.#underWay.size > 0 || due.length > 0);
    for (const dueMs of due) {
      this.#fail("not sent in time");
      this.#record(performance.now() - dueMs);
    }
  }

  end(): Measured {
    this.#isOver = true;
    if (this.#underWay.size > 0) this.#failures["no answer"] = this.#underWay.size;
    // They have waited longest of all.
    for (const dueMs of this.#underWay.values()) this.#record(performance.now() - dueMs);
    for (const connection of this.#connections) connection.close();
    const endMs = this.#job.rate === null ? this.#lastAnswerMs : Math.max(this.#lastAnswerMs, this.#untilMs);
    return {
      answers: this.#answers,
      seconds: (endMs - this.#startMs) / 1_000,
      failures: this.#failures,
      p50: this.#latencies.percentile(50) / 1_000,
      p99: this.#latencies.percentile(99) / 1_000,
      max: this.#latencies.max / 1_000,
      sources: this.#sources,
      bytesPerAnswer: this.#answers > 0 ? Math.round(this.#bytes / this.#answers) : 0,
    };
  }

  #hasMore(): boolean {
    const { once, requests } = this.#job;
    return !this.#isOver && !(once && this.#sent >= requests.length);
  }

  #exchange(connection: Connection, dueMs: number, next: () => void): void {
    const { requests } = this.#job;
    const request = requests[this.#sent % requests.length];
    if (!request) return;
    this.#sent += 1;
    const number = this.#sent;
    this.#underWay.set(number, dueMs);
    connection.send(request, (answer) => {
      this.#underWay.delete(number);
      this.#take(answer, dueMs);
      next();
    });
  }

  #take({ status, bodyBytes, tail }: RawAnswer, dueMs: number): void {
    if (status !== 200) {
      this.#fail(String(status));
      return;
    }
    this.#answers += 1;
    this.#bytes += bodyBytes;
    this.#lastAnswerMs = performance.now();
    this.#record(this.#lastAnswerMs - dueMs);
    if (this.#answers % SAMPLED !== 0) return;
    const source = /"source":"(\w+)"/.exec(tail.toString("latin1"))?.[1];
    if (source) this.#sources[source] = (this.#sources[source] ?? 0) + 1;
  }

  #record(ms: number): void {
    this.#latencies.record(Math.max(1, Math.round(ms * 1_000)));
  }

  #fail(what: string): void {
    this.#failures[what] = (this.#failures[what] ?? 0) + 1;
  }

  async #lastAnswers(areMissing: () => boolean): Promise<void> {
    const untilMs = this.#untilMs + (this.#job.lastAnswerMs ?? LAST_ANSWER_MS);
    while (areMissing() && !this.#isOver && performance.now() < untilMs) await sleep(1);
  }
}

async function reach(dueMs: number): Promise<void> {
  const waitMs = dueMs - performance.now() - SPIN_MS;
  if (waitMs > 0) await sleep(waitMs);
  while (performance.now() < dueMs) await new Promise(setImmediate);
}

parentPort?.on("message", (job: Job) => {
  measure(job).then(
    (measured) => parentPort?.postMessage({ measured }),
    (cause: unknown) => parentPort?.postMessage({ fault: String(cause) }),
  );
});
