import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { eventOf, type FeatureAvailable } from "../../worker/events/feature-available.ts";
import { firstMessages, leastBytes, partsOf } from "../../worker/events/pack-events.ts";
import {
  MAX_NAME_CHARACTERS,
  MAX_QUEUE_BATCH_BYTES,
  MAX_QUEUE_BATCH_MESSAGES,
  MAX_QUEUE_MESSAGE_BYTES,
} from "../../worker/limits.ts";

const ENTITY = { entityType: "bright_uid", entityValue: "user-123" };

function event(names: string[] = [], revision = 1, computeId: string | null = null): FeatureAvailable {
  const row = { eventId: "e", category: "c", revision, ingestedAt: 0, eventTime: 0, computeId, names };
  return eventOf("default", ENTITY, row);
}

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)).length;

/** An event of exactly so many bytes. */
function eventOfBytes(bytes: number): FeatureAvailable {
  const base = { ...event(), compute_id: "" };
  return { ...base, compute_id: "x".repeat(bytes - bytesOf(base)) };
}

/** All messages of all calls, as an outbox makes them while nothing comes. */
function allCalls(events: readonly FeatureAvailable[]): FeatureAvailable[][][] {
  const calls: FeatureAvailable[][][] = [];
  for (let waiting = events; waiting.length > 0; ) {
    const messages = firstMessages(waiting);
    calls.push(messages);
    waiting = waiting.slice(messages.flat().length);
  }
  return calls;
}

/** The lengths of each call's messages. */
const shapeOf = (events: readonly FeatureAvailable[]) =>
  allCalls(events).map((messages) => messages.map((message) => message.length));

/** Brackets of the array and a comma. */
const PAIR = 3;
const HALF = (MAX_QUEUE_MESSAGE_BYTES - PAIR) / 2;
/** Fills a message by itself. */
const WHOLE = MAX_QUEUE_MESSAGE_BYTES - 2;
const LARGE = 100 * 1024;

describe("messages of a sendBatch", () => {
  test.each<[string, number[], number[][]]>([
    ["nothing makes none", [], []],
    ["one event is a message", [500], [[1]]],
    ["three events share one", [500, 600, 700], [[3]]],
    ["two that fill one to the last byte", [Math.floor(HALF), Math.ceil(HALF)], [[2]]],
    ["two that have one byte more", [Math.floor(HALF), Math.ceil(HALF) + 1], [[1, 1]]],
    ["one of the largest size and a small one", [WHOLE, 500], [[1, 1]]],
    ["a large event is a message of its own, between others", [500, 600, LARGE, 500, 600], [[2, 1, 2]]],
    ["four full ones are a batch", [WHOLE, WHOLE, WHOLE, WHOLE], [[1, 1, 1, 1]]],
    ["a fifth goes with the next", [WHOLE, WHOLE, WHOLE, WHOLE, 500], [[1, 1, 1, 1], [1]]],
    ["two large ones and no third", [LARGE, LARGE, LARGE], [[1, 1], [1]]],
    [
      "the most messages that fit: small and nearly full ones in turn",
      [WHOLE, 500, WHOLE, 500, WHOLE, 500, WHOLE, 500],
      [
        [1, 1, 1, 1, 1, 1],
        [1, 1],
      ],
    ],
  ])("%s", (_, sizes, expected) => {
    expect(shapeOf(sizes.map(eventOfBytes))).toEqual(expected);
  });

  test("bytes are counted, not characters", () => {
    // Each takes three bytes of UTF-8: two thirds of what fits as ASCII do not.
    const long = (unit: string) => event([], 1, unit.repeat((MAX_QUEUE_MESSAGE_BYTES * 0.6) / 2));
    expect(shapeOf([long("x"), long("x")])).toEqual([[2]]);
    expect(shapeOf([long("語"), long("語")])).toEqual([[1, 1]]);
    expect(shapeOf([long('"'), long('"')])).toEqual([[1, 1]]);
  });

  test("are all events, in order, within every limit, and waste no room", () => {
    const names = fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }), { maxLength: 3 });
    const small = { repeat: fc.constantFrom(1, 20, 100), computeId: fc.constantFrom(null, "") };
    const large = {
      repeat: fc.constantFrom(1, 500),
      computeId: fc.constantFrom("x".repeat(40_000), "語".repeat(25_000)),
    };
    const run = fc.oneof(
      fc.record({ names, ...small, count: fc.integer({ min: 1, max: 120 }) }),
      fc.record({ names, ...large, count: fc.integer({ min: 1, max: 5 }) }),
    );
    fc.assert(
      fc.property(fc.array(run, { maxLength: 5 }), (runs) => {
        const drafts = runs.flatMap((r) => Array.from({ length: r.count }, () => r));
        const events = drafts.map((r, i) =>
          event(
            r.names.map((name) => name.repeat(r.repeat)),
            i + 1,
            r.computeId,
          ),
        );
        const calls = allCalls(events);
        expect(calls.flat(2)).toEqual(events);
        calls.forEach((messages, i) => {
          expect(messages.length).toBeLessThanOrEqual(MAX_QUEUE_BATCH_MESSAGES);
          const bytes = messages.reduce((sum, message) => sum + bytesOf(message), 0);
          expect(bytes).toBeLessThanOrEqual(MAX_QUEUE_BATCH_BYTES);
          const next = calls[i + 1]?.[0];
          if (next) expect(bytes + bytesOf(next)).toBeGreaterThan(MAX_QUEUE_BATCH_BYTES);
          for (const [j, message] of messages.entries()) {
            if (message.length > 1) expect(bytesOf(message)).toBeLessThanOrEqual(MAX_QUEUE_MESSAGE_BYTES);
            const [first] = messages[j + 1] ?? [];
            if (first) expect(bytesOf([...message, first])).toBeGreaterThan(MAX_QUEUE_MESSAGE_BYTES);
          }
        });
      }),
      { numRuns: 60 },
    );
  });
});

test("parts are cut at the bytes that they may have", () => {
  const sizes = [400, 400, 5_000, 400, 400, 400];
  const parts = (maxBytes: number) => partsOf(sizes.map(eventOfBytes), maxBytes).map((part) => part.length);
  expect(parts(2 * 400 + PAIR)).toEqual([2, 1, 2, 1]);
  expect(parts(2 * 400 + PAIR - 1)).toEqual([1, 1, 1, 1, 1, 1]);
  expect(parts(100_000)).toEqual([6]);
  expect(partsOf([], 1)).toEqual([]);
});

test("an event has never fewer bytes than are told, and hardly more where it is ASCII", () => {
  const any = fc.string({ unit: "grapheme", maxLength: 20 });
  const ascii = fc.stringMatching(/^[ !#-[\]-~]*$/, { maxLength: 20 });
  const of = (text: fc.Arbitrary<string>, times: number) => {
    const names = fc.array(text, { maxLength: 4 });
    return fc.record({ names, computeId: fc.option(text), isCut: fc.boolean() }).map((r) => {
      const written = r.names.map((name) => name.repeat(times));
      return { ...event(written, 7, r.computeId), features_truncated: r.isCut };
    });
  };
  fc.assert(
    fc.property(of(any, MAX_NAME_CHARACTERS / 32), (one) => leastBytes(one) <= bytesOf(one)),
    { numRuns: 200 },
  );
  fc.assert(
    fc.property(of(ascii, 3), (one) => {
      const more = bytesOf(one) - leastBytes(one);
      // `null` in place of an empty text, and `false` in place of `true`.
      return more >= 0 && more <= 3;
    }),
    { numRuns: 200 },
  );
});
