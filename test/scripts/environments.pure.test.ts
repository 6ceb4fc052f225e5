/** What wrangler.toml says of the environments that are deployed. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { unstable_readConfig as readConfig } from "wrangler";
import { CRON_EVERY_MS } from "../../worker/timings.ts";

const file = join(import.meta.dirname, "../../wrangler.toml");

describe.each(["staging", "production"])("%s", (env) => {
  const config = readConfig({ config: file, env }, { hideWarnings: true });

  test("lets nobody in without a key, and keeps no secret of development", () => {
    expect(config.vars).toMatchObject({ ENVIRONMENT: env, QUEUE_STORAGE: "durable" });
    expect(config.vars).not.toHaveProperty("API_KEY_SECRET");
    expect(config.vars).not.toHaveProperty("METRICS_TOKEN");
  });

  test("sends webhooks as a stranger would, so that they do not pass by the firewall of its own zone", () => {
    expect(config.compatibility_flags).toContain("global_fetch_strictly_public");
  });

  test("tries messages for as long as a store may be away, and has a dead-letter queue for each", () => {
    const consumers = config.queues.consumers ?? [];
    expect(consumers).toHaveLength(2);
    for (const { queue, max_retries: retries, dead_letter_queue: dead } of consumers) {
      expect(retries, queue).toBeGreaterThanOrEqual(20);
      expect(dead).toBe(queue.replace(/(-staging|-production)$/, "$1-dlq"));
    }
  });

  test("runs the cron as often as retention counts with", () => {
    const [cron = ""] = config.triggers.crons ?? [];
    const minutes = cron.split(" ")[0]?.split(",").map(Number) ?? [];
    const everyMinutes = CRON_EVERY_MS / 60_000;
    expect(minutes).toEqual(Array.from({ length: 60 / everyMinutes }, (_, i) => 2 + i * everyMinutes));
    expect(cron.split(" ").slice(1)).toEqual(["*", "*", "*", "*"]);
  });

  test("has every variable of development, but for its secrets", () => {
    const names = Object.keys(readConfig({ config: file }, { hideWarnings: true }).vars).filter(
      (name) => !/SECRET|TOKEN/.test(name),
    );
    expect(Object.keys(config.vars).sort()).toEqual(names.sort());
  });
});
