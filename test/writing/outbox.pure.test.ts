import fc from "fast-check";
import { expect, test } from "vitest";
import { eventOf, type FeatureAvailable } from "../../worker/events/feature-available.ts";
import { MAX_QUEUE_BATCH_BYTES, MAX_QUEUE_BATCH_MESSAGES } from "../../worker/limits.ts";
import { batches } from "../../worker/writing/outbox.ts";

const ENTITY = { entityType: "bright_uid", entityValue: "user-123" };

function event(names: string[] = [], revision = 1): FeatureAvailable {
  const row = { eventId: "e", category: "c", revision, ingestedAt: 0, eventTime: 0, computeId: null, names };
  return eventOf("default", ENTITY, row);
}

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)).length;

/** An event of exactly so many bytes. */
function eventOfBytes(bytes: number): FeatureAvailable {
  const base = { ...event(), compute_id: "" };
  return { ...base, compute_id: "x".repeat(bytes - bytesOf(base)) };
}

test("no events make no batch", () => {
  expect(batches([])).toEqual([]);
});

test("a batch takes as many messages as the queue does, and not one more", () => {
  const most = Array.from({ length: MAX_QUEUE_BATCH_MESSAGES }, () => event());
  expect(batches(most).map((batch) => batch.length)).toEqual([100]);
  expect(batches([...most, event()]).map((batch) => batch.length)).toEqual([100, 1]);
});

test("a batch takes as many bytes as the queue does, and not one more", () => {
  const half = MAX_QUEUE_BATCH_BYTES / 2;
  expect(batches([eventOfBytes(half), eventOfBytes(half)])).toHaveLength(1);
  expect(batches([eventOfBytes(half), eventOfBytes(half + 1)])).toHaveLength(2);
});

test("all events are sent, in order, in batches within both limits that waste no room", () => {
  const names = fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }), { maxLength: 3 });
  const repeat = fc.constantFrom(1, 1, 500, 2_000);
  const run = fc.record({ names, repeat, count: fc.integer({ min: 1, max: 60 }) });
  fc.assert(
    fc.property(fc.array(run, { maxLength: 5 }), (runs) => {
      const drafts = runs.flatMap((r) => Array.from({ length: r.count }, () => r));
      const events = drafts.map((r, i) =>
        event(
          r.names.map((name) => name.repeat(r.repeat)),
          i + 1,
        ),
      );
      const result = batches(events);
      expect(result.flat()).toEqual(events);
      result.forEach((batch, i) => {
        const bytes = batch.reduce((sum, one) => sum + bytesOf(one), 0);
        expect(batch.length).toBeLessThanOrEqual(MAX_QUEUE_BATCH_MESSAGES);
        expect(bytes).toBeLessThanOrEqual(MAX_QUEUE_BATCH_BYTES);
        const next = result[i + 1]?.[0];
        const isFull = batch.length === MAX_QUEUE_BATCH_MESSAGES;
        if (next) expect(isFull || bytes + bytesOf(next) > MAX_QUEUE_BATCH_BYTES).toBe(true);
      });
    }),
    { numRuns: 60 },
  );
});
