/** The object that keeps a tenant's statistics: what it counts, what it forgets, and how much it takes. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { MAX_STATS_COLUMNS, MAX_STATS_FEATURES, STATS_PURGE_ROWS } from "../../../worker/limits.ts";
import type { Contribution } from "../../../worker/registry/stats/contribution.ts";
import { FeatureStats } from "../../../worker/registry/stats/feature-stats.ts";
import { addRollUps, EMPTY, type Observation, summaryOf } from "../../../worker/registry/stats/roll-up.ts";
import { hourOf, newsOf } from "../../../worker/registry/stats/series.ts";
import { nowMicros } from "../../../worker/timestamps.ts";
import { STATS_EVENT_MEMORY_MS } from "../../../worker/timings.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const RETENTION_MS = Number(env.HISTORY_RETENTION_DAYS) * DAY_MS;
/** All hours there are. */
const EVER = { first: 0, last: 10_000_000 };

// Some of these tests fill an object to its limits, on machines that do other things as well.
vi.setConfig({ testTimeout: 40_000 });

afterEach(() => void vi.restoreAllMocks());

let made = 0;
const newObject = () => env.FEATURE_STATS.getByName(`test-${++made}/stats`);
type Object = ReturnType<typeof newObject>;

const versionOf = (feature: string, version: number) => ({ feature, version, registeredAt: 1 });

const vector = (value: Observation, columns: [string, Observation][] = []) => ({
  ...{ ...versionOf("f", 1), value, columns },
});

function contribution(values: Observation[], over: Partial<Contribution> = {}): Contribution {
  const now = nowMicros();
  const features = values.map((value) => vector(value));
  return { eventId: crypto.randomUUID(), ingestedAt: now, eventTime: now, features, ...over };
}

const readTotal = async (object: Object) => {
  const { hours } = await object.read(versionOf("f", 1), EVER);
  return summaryOf(hours.map(({ rollUp }) => rollUp).reduce(addRollUps, EMPTY));
};

const tables = (object: Object) =>
  runInDurableObject(object, (_, { storage }) => {
    const count = (table: string) =>
      storage.sql.exec<{ n: number }>(`SELECT count(*) AS n FROM ${table}`).one().n;
    return { events: count("counted_events"), hours: count("hours"), series: count("series") };
  });

describe("counting", () => {
  const observation = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom<Observation>(null, "other", 0.1, 1e16, -1e16),
  );

  test("any contributions in any order, groups and repetitions are as when each comes once", async () => {
    const start = hourOf(nowMicros()) * HOUR_MS * 1_000;
    const drafts = fc.array(fc.tuple(observation, fc.nat(3)), { minLength: 1, maxLength: 8 });
    const calls = fc.array(fc.array(fc.nat(7), { maxLength: 6 }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(drafts, calls, async (values, groups) => {
        const object = newObject();
        const all = values.map(([value, hoursAgo], i) =>
          contribution([value], { ingestedAt: start - hoursAgo * HOUR_MS * 1_000 + i, eventTime: i * 7 }),
        );
        for (const group of [...groups, all.map((_, i) => i)]) {
          await object.record(group.flatMap((i) => all[i] ?? []));
        }
        const [expected] = newsOf(all);
        const found = await object.read(versionOf("f", 1), EVER);
        expect(found.hours.map(({ hour, rollUp }) => [hour, summaryOf(rollUp)])).toEqual(
          [...(expected?.hours ?? [])].map(([hour, own]) => [hour, summaryOf(own)]).toSorted(),
        );
        expect([found.lastWrite, found.lastEventTime]).toEqual([
          expected?.lastWrite,
          expected?.lastEventTime,
        ]);
      }),
      { numRuns: 25 },
    );
  });

  test("counts all of a call or nothing", async () => {
    const object = newObject();
    await runInDurableObject(object, async (instance: FeatureStats) => {
      const broken = contribution([3], { features: [{ ...vector(3), feature: null as unknown as string }] });
      await expect(instance.record([contribution([1]), broken])).rejects.toThrow();
    });
    expect(await tables(object)).toEqual({ events: 0, hours: 0, series: 0 });
  });

  test("what another instance counted is still counted, and not again", async () => {
    const object = newObject();
    const one = contribution([1]);
    await object.record([one]);
    await runInDurableObject(object, async (_, state) => {
      const next = new FeatureStats(state, env);
      await next.record([one, contribution([3])]);
    });
    expect(await readTotal(object)).toMatchObject({ values: 2, mean: 2 });
  });
});

describe("a version of the name and number of one that was removed", () => {
  const renewed = { ...versionOf("f", 1), registeredAt: 2 };
  const event = (registeredAt: number, value: number) =>
    contribution([], { features: [{ ...vector(value, [["c", value]]), registeredAt }] });

  test("has nothing of it, whoever counts last, and begins anew", async () => {
    const object = newObject();
    await object.record([event(1, 5)]);
    expect(await object.read(renewed, EVER)).toEqual({
      ...{ lastWrite: null, lastEventTime: null, hours: [], columns: [] },
    });
    await object.record([event(2, 7)]);
    // By who does not know yet that the first is gone; the next who knows is right again.
    await object.record([event(1, 9)]);
    await object.record([event(2, 8)]);
    const { hours, columns } = await object.read(renewed, EVER);
    expect(hours.map(({ rollUp }) => summaryOf(rollUp))).toMatchObject([{ values: 1 }]);
    expect(columns.map(({ total }) => summaryOf(total))).toMatchObject([{ values: 1, mean: 8 }]);
    expect(await tables(object)).toMatchObject({ series: 2, hours: 2 });
  });

  test("is told from it only where that was noted: older numbers stay", async () => {
    const object = newObject();
    await object.record([event(1, 5)]);
    await runInDurableObject(object, (_, { storage }) => {
      storage.sql.exec("UPDATE series SET registered_at = NULL");
    });
    expect((await object.read(renewed, EVER)).hours).toHaveLength(1);
    await object.record([event(2, 7)]);
    const { columns } = await object.read(renewed, EVER);
    expect(columns.map(({ total }) => summaryOf(total))).toMatchObject([{ values: 2, mean: 6 }]);
  });
});

describe("forgetting", () => {
  test("versions of a feature takes their columns and hours, however many, and leaves all else", async () => {
    const object = newObject();
    const hours = Math.floor(RETENTION_MS / HOUR_MS) - 1;
    const now = nowMicros();
    const of = (feature: string, version: number, columns: [string, Observation][], i: number) =>
      contribution([], {
        ingestedAt: now - i * HOUR_MS * 1_000,
        features: [{ ...versionOf(feature, version), value: 1, columns }],
      });
    const columns = Array.from({ length: 9 }, (_, i): [string, Observation] => [`c${i}`, i]);
    const each = (i: number) => [
      of("f", 1, columns, i),
      of("f", 2, [], i),
      of("f", 3, [], i),
      of("g", 1, [], i),
    ];
    await object.record(Array.from({ length: hours }, (_, i) => each(i)).flat());
    expect(await tables(object)).toMatchObject({ series: 13, hours: 13 * hours });
    // More than goes at once.
    expect(10 * hours).toBeGreaterThan(STATS_PURGE_ROWS);
    await object.forget([versionOf("f", 1), versionOf("f", 2)]);
    expect(await tables(object)).toMatchObject({ series: 2, hours: 2 * hours });
    expect((await object.read(versionOf("f", 1), EVER)).hours).toEqual([]);
    for (const [feature, version] of [
      ["f", 3],
      ["g", 1],
    ] as const)
      expect((await object.read(versionOf(feature, version), EVER)).hours).toHaveLength(hours);
  });

  /** Runs the alarm as it would run so much later. */
  const alarmAfter = (object: Object, ms: number) =>
    runInDurableObject(object, async (instance: FeatureStats, { storage }) => {
      const thenMs = Date.now() + ms;
      await storage.deleteAlarm();
      vi.spyOn(Date, "now").mockReturnValue(thenMs);
      await instance.alarm();
      vi.restoreAllMocks();
      const dueMs = await storage.getAlarm();
      await storage.deleteAlarm();
      return dueMs === null ? null : dueMs - thenMs;
    });

  test("an alarm stands as soon as anything is counted", async () => {
    const object = newObject();
    await object.record([contribution([1])]);
    const dueMs = await runInDurableObject(object, (_, { storage }) => storage.getAlarm());
    expect(dueMs).toBeGreaterThan(Date.now());
    expect(dueMs).toBeLessThanOrEqual(Date.now() + STATS_EVENT_MEMORY_MS);
  });

  test("an event is known within its window and forgotten after it; the hours stay", async () => {
    const object = newObject();
    await object.record([contribution([1])]);
    expect(await alarmAfter(object, STATS_EVENT_MEMORY_MS - HOUR_MS)).toBeGreaterThan(0);
    expect(await tables(object)).toMatchObject({ events: 1, hours: 1 });
    expect(await alarmAfter(object, STATS_EVENT_MEMORY_MS + HOUR_MS)).toBeGreaterThan(DAY_MS);
    expect(await tables(object)).toMatchObject({ events: 0, hours: 1 });
    expect(await readTotal(object)).toMatchObject({ values: 1 });
  });

  test("hours go as history does; when the last write was stays; then nothing is due any more", async () => {
    const object = newObject();
    await object.record([contribution([1])]);
    const { lastWrite } = await object.read(versionOf("f", 1), EVER);
    await alarmAfter(object, RETENTION_MS - HOUR_MS);
    expect(await tables(object)).toMatchObject({ hours: 1 });
    expect(await alarmAfter(object, RETENTION_MS + 2 * HOUR_MS)).toBeNull();
    expect(await tables(object)).toEqual({ events: 0, hours: 0, series: 1 });
    expect(await object.read(versionOf("f", 1), EVER)).toMatchObject({ lastWrite, hours: [] });
  });

  test("an hour past its retention is not answered, though no alarm came, and none is begun anew", async () => {
    const object = newObject();
    const recent = contribution([1]);
    await object.record([recent]);
    await runInDurableObject(object, async (instance: FeatureStats) => {
      vi.spyOn(Date, "now").mockReturnValue(Date.now() + RETENTION_MS + 2 * HOUR_MS);
      expect((await instance.read(versionOf("f", 1), EVER)).hours).toEqual([]);
      await instance.record([{ ...recent, eventId: crypto.randomUUID() }]);
    });
    vi.restoreAllMocks();
    expect(await readTotal(object)).toMatchObject({ values: 1 });
  });
});

describe("limits", () => {
  test("of the columns of a vector so many have numbers of their own, the first ones; the vector is counted", async () => {
    const object = newObject();
    const columns = Array.from({ length: MAX_STATS_COLUMNS + 5 }, (_, i): [string, number] => [`c${i}`, i]);
    const one = contribution([], { features: [vector("other", columns)] });
    expect(await object.record([one])).toEqual({ leftOut: 5 });
    const again = contribution([], { features: [vector("other", columns.toReversed())] });
    expect(await object.record([again])).toEqual({ leftOut: 5 });
    const found = await object.read(versionOf("f", 1), EVER);
    expect(found.columns.map(({ column }) => column)).toEqual(
      columns.slice(0, MAX_STATS_COLUMNS).map(([name]) => name),
    );
    expect(found.columns.map(({ total }) => total.values)).toEqual(columns.slice(5).map(() => 2));
    expect(await readTotal(object)).toMatchObject({ values: 2 });
  });

  test("a tenant has so many features with statistics; the others are left out with their columns, known ones go on", async () => {
    const object = newObject();
    const features = Array.from({ length: MAX_STATS_FEATURES }, (_, i) => ({
      ...vector(1),
      feature: i === 0 ? "f" : `f${i}`,
    }));
    expect(await object.record([contribution([], { features })])).toEqual({ leftOut: 0 });
    const more = { ...vector("other", [["a", 1]]), feature: "one too many" };
    const next = contribution([], { features: [more, vector(3)] });
    expect(await object.record([next])).toEqual({ leftOut: 2 });
    expect(await readTotal(object)).toMatchObject({ values: 2, mean: 2 });
    expect((await object.read(versionOf("one too many", 1), EVER)).lastWrite).toBeNull();
    // One that is forgotten makes room.
    await object.forget([versionOf("f1", 1)]);
    expect(await object.record([contribution([], { features: [more] })])).toEqual({ leftOut: 0 });
  });
});
