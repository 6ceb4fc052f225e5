/** The platform's door: requests, queue messages, the clock, and the Durable Object classes. */
import { connect } from "cloudflare:sockets";
import { tracing } from "cloudflare:workers";
import { app } from "./app.ts";
import { removeEndedJobs } from "./compute/compute-store.ts";
import { consumeCompute } from "./compute/consumer.ts";
import { entityDatabases } from "./db/entity-databases.ts";
import { removeOldRecords } from "./db/insert-once.ts";
import { settings } from "./env.ts";
import { consumeAvailability } from "./events/consumer.ts";
import { retainHistory } from "./history/retention-run.ts";
import { endDeletions } from "./history/write-training-set.ts";
import { answerKnownFirst } from "./http/known-addresses.ts";
import { Log } from "./log.ts";
import { countBatch } from "./monitoring/count-batch.ts";
import { isolateMetrics } from "./monitoring/isolate-metrics.ts";
import { StatsdExporter } from "./monitoring/statsd.ts";
import { traceWith } from "./monitoring/timed.ts";
import { continueDeletions } from "./tenants/deleting/continue-deletion.ts";
import { continueMoves } from "./tenants/moving/continue-move.ts";
import { nowMicros } from "./timestamps.ts";
import { DELETION_RUN_MS, MOVE_RUN_MS } from "./timings.ts";

export { RawTable } from "./compute/raw-table.ts";
export { Subscriber } from "./events/subscriber.ts";
export { MetricsTotals } from "./monitoring/metrics-totals.ts";
export { FeatureStats } from "./registry/stats/feature-stats.ts";
export { EntityWriter } from "./writing/entity-writer.ts";

/** A queue's name begins with its purpose; the name of the environment may follow. */
async function consume(batch: MessageBatch, env: Env): Promise<void> {
  if (batch.queue.startsWith("feature-compute")) await consumeCompute(batch, env);
  else await consumeAvailability(batch, env);
}

traceWith(tracing);
isolateMetrics.attach(new StatsdExporter({ connect }));

export default {
  fetch: answerKnownFirst(app),
  queue: (batch, env, ctx) => countBatch({ batch, env, ctx }, () => consume(batch, env)),
  async scheduled(_controller, env) {
    const own = settings(env);
    const log = Log.of("cron", own);
    // No failure ends the others: a step of the retention that is cut off would be tried again with fewer rows.
    const all = await Promise.allSettled([
      retainHistory(entityDatabases(env), Date.now(), {
        retentionDays: own.historyRetentionDays,
        archive: env.ARCHIVE,
        log,
      }),
      removeEndedJobs(env.DB, nowMicros()),
      removeOldRecords(env.DB, nowMicros()),
      endDeletions(env),
      continueMoves({ env, settings: own, log }, Date.now() + MOVE_RUN_MS),
      continueDeletions({ env, settings: own, log }, Date.now() + DELETION_RUN_MS),
    ]);
    for (const one of all) if (one.status === "rejected") throw one.reason;
  },
} satisfies ExportedHandler<Env>;
