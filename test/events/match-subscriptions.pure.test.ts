import { expect, test } from "vitest";
import { matches } from "../../worker/events/match-subscriptions.ts";

const ALL = { entityTypes: null, categories: null, features: null };
const EVENT = {
  entity_type: "bright_uid",
  resource_name: "user_features",
  features: ["age", "__proto__"],
  features_truncated: false,
};

test.each([
  [{}, true],
  [{ entityTypes: ["bright_uid", "account_id"] }, true],
  [{ entityTypes: ["account_id"] }, false],
  [{ categories: ["user_features"] }, true],
  [{ categories: ["user"] }, false],
  [{ features: ["city", "age"] }, true],
  [{ features: ["__proto__"] }, true],
  [{ features: ["city"] }, false],
  [{ features: ["constructor"] }, false],
  // All filters must let it through.
  [{ categories: ["user_features"], features: ["age"], entityTypes: ["bright_uid"] }, true],
  [{ categories: ["other"], features: ["age"] }, false],
  [{ entityTypes: ["account_id"], features: ["age"] }, false],
])("the filters %j let the event through: %j", (filters, expected) => {
  expect(matches({ ...ALL, ...filters }, EVENT)).toBe(expected);
});

test("an event whose names were cut matches any feature, but not any category", () => {
  const cut = { ...EVENT, features_truncated: true };
  expect(matches({ ...ALL, features: ["city"] }, cut)).toBe(true);
  expect(matches({ ...ALL, features: ["city"], categories: ["other"] }, cut)).toBe(false);
});
