/**
 * Sends what an isolate counts to a StatsD server, over TCP: Workers have no UDP.
 *
 * At most once: it is not known how much of a flush that failed has arrived, so none of it is sent again. A server that
 * is away costs what was counted since the last flush, which is bounded, and a second of somebody's `waitUntil` in ten.
 */
import { type Settings, settings } from "../env.ts";
import { Log } from "../log.ts";
import { STATSD_FLUSH_TIMEOUT_MS, STATSD_LOG_MS, STATSD_RETRY_MS } from "../timings.ts";
import { within } from "../waits.ts";
import type { MetricExporter } from "./isolate-metrics.ts";
import type { MetricRecord } from "./metric-record.ts";
import { StatsdBatch } from "./statsd-batch.ts";

/** What of `cloudflare:sockets` is needed; handed in, since that module exists inside the runtime alone. */
export type Connect = (address: SocketAddress) => Pick<Socket, "opened" | "closed" | "writable" | "close">;

interface StatsdOptions {
  connect: Connect;
  now?: () => number;
}

export class StatsdExporter implements MetricExporter {
  readonly #connect: Connect;
  readonly #now: () => number;
  #batch = new StatsdBatch();
  /** Not known before the first flush: only there is an environment to ask. */
  #isOff = false;
  #pausedUntilMs = 0;
  #loggedMs = Number.NEGATIVE_INFINITY;
  /** Flushes and records since it was last logged. */
  #failed = 0;
  #lost = 0;

  constructor({ connect, now = Date.now }: StatsdOptions) {
    this.#connect = connect;
    this.#now = now;
  }

  note(record: MetricRecord): void {
    if (!this.#isOff) this.#batch.add(record);
  }

  async flush(env: Env): Promise<void> {
    const own = settings(env);
    this.#isOff = own.statsd === null;
    if (own.statsd && this.#now() < this.#pausedUntilMs) return;
    // Taken before anything is awaited: no other flush sends it too.
    const batch = this.#batch;
    this.#batch = new StatsdBatch();
    if (!own.statsd || batch.records === 0) return;
    this.#lost += batch.dropped;
    try {
      await this.#send(own.statsd, `${batch.lines(own.statsd).join("\n")}\n`);
      if (batch.dropped > 0) this.#complain(own);
    } catch (cause) {
      this.#pausedUntilMs = this.#now() + STATSD_RETRY_MS;
      this.#failed += 1;
      this.#lost += batch.records - batch.dropped;
      this.#complain(own, cause);
    }
  }

  /** One connection for each flush: a socket must not outlive the invocation that opened it. */
  async #send({ host, port }: { host: string; port: number }, text: string): Promise<void> {
    const socket = this.#connect({ hostname: host, port });
    // Whatever becomes of it is known by what is awaited below; here nobody must call it unhandled.
    for (const each of [socket.opened, socket.closed]) each.catch(() => {});
    try {
      await within(STATSD_FLUSH_TIMEOUT_MS, writeAll(socket.writable, new TextEncoder().encode(text)));
    } finally {
      // Not awaited: with a server that does not read it takes for ever.
      socket.close().catch(() => {});
    }
  }

  #complain(own: Settings, cause?: unknown): void {
    if (this.#now() - this.#loggedMs < STATSD_LOG_MS) return;
    this.#loggedMs = this.#now();
    Log.of("statsd", own).warning(
      "records were not sent to StatsD",
      { failed_flushes: this.#failed, records: this.#lost },
      cause,
    );
    this.#failed = 0;
    this.#lost = 0;
  }
}

async function writeAll(writable: WritableStream<Uint8Array>, bytes: Uint8Array): Promise<void> {
  const writer = writable.getWriter();
  await writer.write(bytes);
  await writer.close();
}
