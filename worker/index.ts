/** The platform's door: requests, queue messages, the clock, and the Durable Object classes. */
import { app } from "./app.ts";
import { settings } from "./env.ts";
import { consumeAvailability } from "./events/consumer.ts";
import { removeOldHistory } from "./history/retention.ts";
import { Log } from "./log.ts";

export { EntityWriter } from "./writing/entity-writer.ts";

export default {
  fetch: app.fetch,
  queue: consumeAvailability,
  async scheduled(_controller, env) {
    const { logLevel, isDevelopment, historyRetentionDays } = settings(env);
    await removeOldHistory(
      env.DB,
      historyRetentionDays,
      new Log("cron", { level: logLevel, readable: isDevelopment }),
    );
  },
} satisfies ExportedHandler<Env>;
