/** Histories of every kind of change that a store may see, as positions in short lists, so that they meet often. */
import fc from "fast-check";
import type { Time } from "./model.ts";

export const SECOND: Time = 1_000_000;
const DAY = 86_400 * SECOND;

export const TYPES = ["shopper", "bright_uid"];
export const ENTITIES = ["a", "__proto__", "ä😀 x/y?#%&+", `"q' \\`];

/** Event times, from now. No TTL of a written or registered value ends near now. */
export const TIMES: readonly Time[] = [
  ...[-100_000 * DAY, -200 * DAY, -200 * DAY + 1, -5 * 3_600 * SECOND, -600 * SECOND, -600 * SECOND - 1],
  ...[-60 * SECOND, -60 * SECOND + 1, -30 * SECOND, -30 * SECOND, 3_600 * SECOND, 400 * DAY, 60_000 * DAY],
];
export const TTLS_SECONDS = [null, null, 45.000001, 500, 7_200, 150 * 86_400, 36_000 * 86_400];

/** By name: texts that a request may have, and what they are when the name is registered, if that is not the same. */
export const VALUES: Record<string, [sent: string, typed?: string][]> = {
  n: [["1"], ["-7"], ["9007199254740993"], ["null"], ['"9223372036854775807"', "9223372036854775807"]],
  "n@2": [["0"], ["-9223372036854775808"], ["null"]],
  j: [['{"k":[1,{"__proto__":null}]}'], ["9007199254740993"], ['"t"'], ["[]"], ["false"], ["null"]],
  t: [['"2026-01-01T02:00:00.123456+02:00"', '"2026-01-01T00:00:00.123456+00:00"'], ["null"]],
  free: [["1.5"], ["true"], ["123456789012345678901234567890"], ["null"], ['"é\\"\\n\\u0000"']],
  ["__proto__"]: [["1"], ['{"__proto__":1}']],
  "$[0].a": [["1"], ["[2]"]],
  big: [[`"${"x".repeat(1_200)}"`], [`"${"ä".repeat(2_500)}"`], [`{"k":"${"y".repeat(5_000)}"}`]],
};
export const NAMES = Object.keys(VALUES);
export const VECTOR_NAMES = ["total", "n", "extra"];

/** Of the categories: one with registered features, one without, and a computed feature's vector. */
export const [TYPED, FREE, VECTOR] = [0, 1, 2] as const;

const part = fc.record({
  category: fc.constantFrom(TYPED, FREE, VECTOR),
  mode: fc.constantFrom("replace" as const, "merge" as const, "merge" as const),
  time: fc.nat(TIMES.length - 1),
  names: fc.uniqueArray(fc.nat(NAMES.length - 1), { maxLength: 5 }),
  value: fc.nat(20),
  ttl: fc.nat(TTLS_SECONDS.length - 1),
  /** Microseconds: no two writes of a history that are sent at once have the same. */
  shift: fc.constant<number>(0),
});
export type PartDraft = typeof part extends fc.Arbitrary<infer P> ? P : never;

const type = fc.constantFrom(0, 0, 1);
const entity = fc.nat(ENTITIES.length - 1);
const row = fc.record({
  type,
  entity,
  parts: fc.uniqueArray(part, { minLength: 1, maxLength: 3, selector: ({ category }) => category }),
});
export type RowDraft = typeof row extends fc.Arbitrary<infer R> ? R : never;

const step = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant("write" as const),
      rows: fc.array(row, { minLength: 1, maxLength: 8 }),
      again: fc.constantFrom("no" as const, "no" as const, "with its key" as const, "without" as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("burst" as const),
      rows: fc.array(row, { minLength: 5, maxLength: 15 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("compute" as const),
      rows: fc.array(fc.record({ entity, amount: fc.nat(5), time: fc.nat(TIMES.length - 1) }), {
        minLength: 1,
        maxLength: 5,
      }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("delete" as const),
      type,
      entity,
      category: fc.option(fc.constantFrom(TYPED, FREE, VECTOR)),
    }),
  },
  /** At each of these calls a run of the retention dies. */
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("retain" as const),
      dies: fc.array(fc.nat(8), { maxLength: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("activate" as const), isActive: fc.boolean() }) },
);
export type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;
export type StepOf<K extends Step["kind"]> = Extract<Step, { kind: K }>;

export const steps = fc.array(step, { minLength: 12, maxLength: 20 });

/** Which entity, which time, and how far from it; the time is that of a write, or the end of a TTL of one. */
export const questions = fc.array(
  fc.record({
    entity,
    time: fc.nat(TIMES.length - 1),
    afterSeconds: fc.constantFrom(0, 0, 45.000001, 120, 500, 5_400.5, 7_200),
    byMicros: fc.constantFrom(0, 0, 1, -1),
  }),
  { minLength: 40, maxLength: 40 },
);
export type QuestionDraft = typeof questions extends fc.Arbitrary<(infer Q)[]> ? Q : never;
