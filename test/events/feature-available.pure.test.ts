import fc from "fast-check";
import { expect, test } from "vitest";
import { eventOf, featureAvailable } from "../../worker/events/feature-available.ts";
import { MAX_NAME_CHARACTERS } from "../../worker/limits.ts";

/** Queues takes no larger message, and about 100 bytes of each are its own. */
const MESSAGE_BYTES = 127_900;
const ENTITY = { entityType: "bright_uid", entityValue: "user-123" };
const ROW = {
  eventId: "0b9d9d0c-3c1e-4a61-9d9a-3a7f6a1f2b3c",
  category: "user_features",
  revision: 3,
  ingestedAt: 1_760_346_951_358_632,
  eventTime: 1_760_346_000_000_000,
  computeId: "compute-123",
  names: ["age", "__proto__"],
};

test("an event tells what was written, for whom, when and as which revision", () => {
  expect(eventOf("default", ENTITY, ROW)).toEqual({
    event_id: ROW.eventId,
    event_type: "feature_available",
    timestamp: "2025-10-13T09:15:51.358632+00:00",
    event_timestamp: "2025-10-13T09:00:00.000000+00:00",
    entity_type: "bright_uid",
    entity_id: "user-123",
    resource_type: "feature",
    resource_name: "user_features",
    compute_id: "compute-123",
    features: ["age", "__proto__"],
    features_truncated: false,
    tenant_id: "default",
    revision: 3,
    schema_version: 1,
  });
});

test("what is produced is what the consumer's schema takes", () => {
  const event = eventOf("default", ENTITY, { ...ROW, computeId: null, names: [] });
  expect(featureAvailable.parse(JSON.parse(JSON.stringify(event)))).toEqual(event);
});

test.each([
  ["event_id", "not-a-uuid"],
  ["event_type", "other"],
  ["revision", 0],
  ["features", "age"],
  ["schema_version", 2],
])("the consumer's schema refuses another %s", (field, value) => {
  expect(featureAvailable.safeParse({ ...eventOf("default", ENTITY, ROW), [field]: value }).success).toBe(
    false,
  );
});

test("names that do not fit one message are left out from the end, and the event says so", () => {
  const names = Array.from({ length: 200 }, (_, i) => `${i}`.padEnd(MAX_NAME_CHARACTERS, "語"));
  const { features, features_truncated } = eventOf("default", ENTITY, { ...ROW, names });
  expect(features_truncated).toBe(true);
  expect(features.length).toBeGreaterThan(50);
  expect(features).toEqual(names.slice(0, features.length));
});

test("an event alone never is larger than a message may be, whatever its names are made of", () => {
  const longest = fc
    .constantFrom("x", '"', "\\", "é", "語", "😀")
    .map((unit) => unit.repeat(MAX_NAME_CHARACTERS / unit.length));
  fc.assert(
    fc.property(longest, fc.array(longest, { minLength: 1, maxLength: 3 }), (name, cycle) => {
      const names = Array.from({ length: 1_000 }, (_, i) => cycle[i % cycle.length] ?? "");
      const ref = { entityType: name, entityValue: name };
      const event = eventOf(name, ref, { ...ROW, category: name, computeId: name, names });
      expect(new TextEncoder().encode(JSON.stringify([event])).length).toBeLessThan(MESSAGE_BYTES);
    }),
    { numRuns: 50 },
  );
});
