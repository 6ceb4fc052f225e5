import { globSync, readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { databaseOf } from "../../worker/keys.ts";
import { type CallFacts, chance, FAULT_KINDS, faultOf } from "./decide.ts";
import { nameOf, scheduleOf } from "./schedule.ts";
import { MORE_ENTITIES, placeOf } from "./spread.ts";

const RATES = { database: 0.5, cache: 0.5, queue: 0.5, object: 0.5, receiver: 0.5 };
const CALLS: CallFacts[] = [
  { store: "database", operation: "read", mayDie: false },
  { store: "database", operation: "read", mayDie: true },
  { store: "database", operation: "write", mayDie: true },
  { store: "cache", operation: "get", mayDie: false },
  { store: "cache", operation: "put", mayDie: true },
  { store: "cache", operation: "delete", mayDie: true },
  { store: "queue", operation: "send", mayDie: true },
  { store: "object", operation: "change", mayDie: false },
  { store: "object", operation: "change", mayDie: true },
  { store: "receiver", operation: "post", mayDie: true },
];
const decisions = (facts: CallFacts, count = 2_000) =>
  Array.from({ length: count }, (_, call) => faultOf(3, call, facts, RATES));

describe("the fault of a call", () => {
  test("depends on seed and number of the call alone", () => {
    for (const facts of CALLS) expect(decisions(facts)).toEqual(decisions(facts));
  });

  test("is another with another seed", () => {
    const [facts] = CALLS;
    if (!facts) throw new Error("no call");
    const other = Array.from({ length: 2_000 }, (_, call) => faultOf(4, call, facts, RATES));
    expect(other).not.toEqual(decisions(facts));
  });

  test("comes as often as the rate says", () => {
    for (const facts of CALLS) {
      const share = decisions(facts).filter(Boolean).length / 2_000;
      expect(share).toBeGreaterThan(0.42);
      expect(share).toBeLessThan(0.58);
    }
  });

  test("comes as often as the call's own rate says, where it has one", () => {
    const facts = { store: "database", operation: "read", mayDie: false } as const;
    expect(decisions({ ...facts, rate: 0 }).some(Boolean)).toBe(false);
    expect(decisions({ ...facts, rate: 1 }).every(Boolean)).toBe(true);
  });

  test("is of every kind, over all calls", () => {
    const kinds = new Set(CALLS.flatMap((facts) => decisions(facts).flatMap((fault) => fault?.kind ?? [])));
    expect([...kinds].sort()).toEqual([...FAULT_KINDS].sort());
  });

  test("never is a reader's death, a late put, or none where the rate is 0", () => {
    const ofReader = decisions({ store: "database", operation: "read", mayDie: false });
    expect(ofReader.some((fault) => /^(dies|clock)/.test(fault?.kind ?? ""))).toBe(false);
    const ofPut = decisions({ store: "cache", operation: "put", mayDie: true });
    expect(ofPut.some((fault) => fault?.kind === "lands late")).toBe(false);
    const calm = { database: 0, cache: 0, queue: 0, object: 0, receiver: 0 };
    for (const facts of CALLS) expect(faultOf(1, 1, facts, calm)).toBeNull();
  });

  test("is drawn evenly", () => {
    const drawn = Array.from({ length: 10_000 }, (_, i) => chance(5, i));
    const tenths = Array.from({ length: 10 }, (_, i) => drawn.filter((n) => Math.floor(n * 10) === i).length);
    for (const count of tenths) expect(Math.abs(count - 1_000)).toBeLessThan(200);
  });
});

test("a schedule is the same for the same seed, and another for another", () => {
  expect(scheduleOf(9)).toEqual(scheduleOf(9));
  expect(scheduleOf(10).operations).not.toEqual(scheduleOf(9).operations);
});

test("a third of the schedules have several databases, and these have entities in each", () => {
  const spreads = Array.from({ length: 3_000 }, (_, seed) => scheduleOf(seed).spread).filter(
    (spread) => spread !== null,
  );
  expect(spreads.length / 3_000).toBeGreaterThan(0.28);
  expect(spreads.length / 3_000).toBeLessThan(0.38);
  expect(new Set(spreads.map(({ databases, bound }) => `${databases} of ${bound}`))).toEqual(
    new Set(["1 of 2", "2 of 2", "2 of 3", "3 of 3"]),
  );
  for (const databases of [1, 2, 3]) {
    const places = MORE_ENTITIES.map((entity) => placeOf(nameOf(entity), databases));
    expect(places).toEqual(MORE_ENTITIES.map((entity) => databaseOf(entity, databases)));
    expect(new Set(places).size).toBe(databases);
  }
});

test("nothing of the fault layer is in the service: its code imports nothing of the tests", () => {
  const files = globSync("worker/**/*.ts");
  expect(files.length).toBeGreaterThan(50);
  const imported = files.flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)].map(([, path = ""]) =>
      relative(".", resolve(dirname(file), path)),
    ),
  );
  expect(imported.filter((path) => path.startsWith("test/"))).toEqual([]);
});
