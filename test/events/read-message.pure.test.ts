import { describe, expect, test } from "vitest";
import {
  availabilityMessage,
  eventOf,
  type FeatureAvailable,
} from "../../worker/events/feature-available.ts";
import { entriesOf, readMessage } from "../../worker/events/read-message.ts";

function event(revision: number): FeatureAvailable {
  const row = { category: "c", revision, ingestedAt: 0, eventTime: 0, computeId: null, names: ["n"] };
  const eventId = `00000000-0000-4000-8000-${String(revision).padStart(12, "0")}`;
  return eventOf("default", { entityType: "bright_uid", entityValue: "u" }, { eventId, ...row });
}

const [one, two, three] = [event(1), event(2), event(3)];

describe("what a message holds", () => {
  test.each<[string, unknown, FeatureAvailable[]]>([
    ["a list of events", [one, two, three], [one, two, three]],
    ["a list of one", [one], [one]],
    ["a bare event", one, [one]],
  ])("%s is these events, in order", (_, body, events) => {
    expect(readMessage(JSON.parse(JSON.stringify(body)))).toEqual({ events, faults: null });
  });

  test.each<[string, unknown, FeatureAvailable[], string]>([
    ["among others", [one, { ...two, revision: 0 }, three], [one, three], "1.revision: too_small"],
    ["at the end", [one, null], [one], "1: invalid_type"],
    ["alone in a list", [{ ...one, features: [1] }], [], "0.features.0: invalid_type"],
    ["bare", { ...one, event_type: "other" }, [], "0.event_type: invalid_value"],
    ["that is no object", "text", [], "0: invalid_type"],
    ["that is null", null, [], "0: invalid_type"],
    ["that is a list", [[one]], [], "0: invalid_type"],
  ])("what does not fit, %s, is told, and the others are there", (_, body, events, faults) => {
    expect(readMessage(body)).toEqual({ events, faults });
  });

  test("no events at all are a fault", () => {
    expect(readMessage([])).toEqual({ events: [], faults: expect.stringContaining("too_small") });
  });

  test("of very many faults some are told, and never a value", () => {
    const { events, faults } = readMessage([
      one,
      ...Array.from({ length: 1_000 }, () => "a-secret-value"),
      two,
    ]);
    expect(events).toEqual([one, two]);
    expect(faults?.split(", ")).toHaveLength(20);
    expect(faults).not.toContain("a-secret-value");
  });
});

test("a body's events are counted without looking into them", () => {
  expect([[one, 7, two], one, "text", []].map((body) => entriesOf(body).length)).toEqual([3, 1, 1, 0]);
});

test("what is sent is a list with something in it", () => {
  const fits = (body: unknown) => availabilityMessage.safeParse(body).success;
  expect([[one, two], [], one, [one, {}]].map(fits)).toEqual([true, false, false, false]);
});
