import { expect, test, vi } from "vitest";
import type { Settings } from "../../worker/env.ts";
import { DeliveryLoop } from "../../worker/events/delivery-loop.ts";
import type { SubscriberStore } from "../../worker/events/subscriber-store.ts";
import type { Subscription } from "../../worker/events/subscription-store.ts";
import { MAX_REFILLS_PER_RUN } from "../../worker/limits.ts";
import { Log } from "../../worker/log.ts";

test("a replay that finds nothing to send leaves its run after so many steps, and the next goes on", async () => {
  let left = MAX_REFILLS_PER_RUN + 20;
  const refill = vi.fn(async () => {
    left -= 1;
  });
  const loop = new DeliveryLoop({
    // Nothing is due.
    store: { heads: () => [], count: () => 0 } as unknown as SubscriberStore,
    settings: {} as Settings,
    log: new Log("test", { level: "ERROR", readable: false }),
    receiver: () => ({ kind: "webhook" }) as Subscription,
    refill,
    hasMore: () => left > 0,
  });
  const inAMinute = Date.now() + 60_000;
  expect(await loop.run(() => inAMinute)).toBe("more");
  expect(refill).toHaveBeenCalledTimes(MAX_REFILLS_PER_RUN);
  expect(await loop.run(() => inAMinute)).toBe("idle");
  expect(left).toBe(0);
});
