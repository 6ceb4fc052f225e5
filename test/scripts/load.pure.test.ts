import { describe, expect, test } from "vitest";
import { readArguments } from "../../scripts/load/arguments.ts";
import { KINDS, type Kind, nextRequest } from "../../scripts/load/mix.ts";
import { progressText, summaryText } from "../../scripts/load/summary.ts";
import { Tally } from "../../scripts/load/tally.ts";
import { randomOf } from "../../scripts/random.ts";

describe("the mix", () => {
  const requests = (seed: number, count = 10_000) => {
    const random = randomOf(seed);
    return Array.from({ length: count }, () => nextRequest(random, 50));
  };

  test("one request in ten is a write", () => {
    const counts = Map.groupBy(requests(1), ({ kind }) => kind);
    const shares = KINDS.map((kind) => (counts.get(kind)?.length ?? 0) / 10_000);
    const expected: Record<Kind, number> = { single: 0.5, multi: 0.2, online: 0.2, upsert: 0.1 };
    KINDS.forEach((kind, i) => {
      expect(Math.abs((shares[i] ?? 0) - expected[kind]), kind).toBeLessThan(0.02);
    });
  });

  test("the same seed asks the same, another seed another", () => {
    expect(requests(7, 200)).toEqual(requests(7, 200));
    expect(requests(7, 200)).not.toEqual(requests(8, 200));
  });

  test("it asks for all of the entities and for no other", () => {
    const text = JSON.stringify(requests(1));
    const asked = new Set([...text.matchAll(/load-(\d+)/g)].map(([, position]) => Number(position)));
    expect([...asked].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  });
});

describe("the tally", () => {
  test("percentiles are those of the latencies, by kind and of all", () => {
    const tally = new Tally();
    for (let ms = 1; ms <= 1_000; ms += 1) {
      tally.add(ms % 2 === 0 ? "single" : "upsert", { kind: "answered", latencyMs: ms, sources: ["memory"] });
    }
    const all = Object.fromEntries(tally.latencies().map(({ percentile, ms }) => [percentile, ms]));
    expect(all[50]).toBeCloseTo(500, -1);
    expect(all[99]).toBeCloseTo(990, -1);
    expect(all[100]).toBeCloseTo(1_000, -1);
    expect(tally.answeredOf("single")).toBe(500);
    expect(tally.latencies("upsert")[0]?.ms).toBeCloseTo(499, -1);
    expect(tally.sources).toEqual(new Map([["memory", 1_000]]));
  });

  test("a missed slot counts among the latencies of all, with the time that it waited", () => {
    const tally = new Tally();
    for (let i = 0; i < 98; i += 1) tally.add("single", { kind: "answered", latencyMs: 1, sources: [] });
    tally.addWaits([3_000, 2_990]);
    expect(tally.latencies().find(({ percentile }) => percentile === 99)?.ms).toBeGreaterThan(2_900);
    expect(tally.latencies("single").find(({ percentile }) => percentile === 99)?.ms).toBeCloseTo(1, 1);
  });

  test("failures are counted by their name, and are no answers", () => {
    const tally = new Tally();
    tally.add("upsert", { kind: "failed", latencyMs: 5, what: "503 Service Unavailable" });
    tally.add("upsert", { kind: "failed", latencyMs: 5, what: "503 Service Unavailable" });
    tally.add("single", { kind: "answered", latencyMs: 5, sources: [] });
    expect({ answered: tally.answered, failed: tally.failed, sent: tally.sent }).toEqual({
      answered: 1,
      failed: 2,
      sent: 3,
    });
    expect(tally.failures).toEqual(new Map([["503 Service Unavailable", 2]]));
  });
});

describe("the summary", () => {
  test("it says what was sent, what became of it, and how fast", () => {
    const tally = new Tally();
    for (let i = 0; i < 90; i += 1) tally.add("single", { kind: "answered", latencyMs: 2, sources: ["kv"] });
    tally.add("upsert", { kind: "failed", latencyMs: 20, what: "network: no answer in time" });
    tally.missed = 1;
    const text = summaryText({ tally, slots: 93, heldBack: 1, seconds: 10 }, { rate: 9.3 });
    expect(text).toContain("91 sent of 93 due in 10.0 s: 9.1 a second of 9.3 asked for.");
    expect(text).toContain("90 answered, 1 failed, 1 missed");
    expect(text).toContain("1 held back");
    expect(text).toContain("errors   1 × network: no answer in time");
    expect(text).toContain("sources  kv 100.0 %");
    expect(text).toMatch(/^single +90 +2\.00 /m);
    expect(text).toMatch(/^multi +0 +– /m);
  });

  test("a run without any answer can be told as well", () => {
    expect(summaryText({ tally: new Tally(), slots: 1, heldBack: 0, seconds: 1 }, { rate: 1 })).toContain(
      "errors   none",
    );
    expect(progressText({ tally: new Tally(), underWay: 0, seconds: 0 })).toContain("0 answered");
  });
});

describe("the arguments", () => {
  test("without any they are the defaults", () => {
    expect(readArguments([])).toEqual({
      url: "http://localhost:8787",
      users: 20,
      rate: 200,
      durationSeconds: 30,
      key: null,
      seed: 1,
      entities: 1_000,
      timeoutSeconds: 10,
    });
  });

  test("a slash at the end of the address is not doubled", () => {
    expect(readArguments(["--url", "https://store.example/"])).toMatchObject({
      url: "https://store.example",
    });
  });

  test.each([
    [["--users", "0"], "--users"],
    [["--users", "1.5"], "--users"],
    [["--users", ""], "--users"],
    [["--rate", "fast"], "--rate"],
    [["--rate", "-1"], "--rate"],
    [["--rate", "Infinity"], "--rate"],
    [["--duration", "0"], "--duration"],
    [["--duration", "1e9"], "--duration"],
    [["--entities", "0"], "--entities"],
    [["--seed", "-1"], "--seed"],
    [["--timeout", "0"], "--timeout"],
    [["--url", "localhost:8787"], "--url"],
    [["--url", "nothing"], "--url"],
    [["--key", ""], "--key"],
    [["--speed", "9"], "--speed"],
    [["200"], "200"],
  ])("%j is refused, naming it", (args, named) => {
    expect(readArguments(args)).toMatchObject({ fault: expect.stringContaining(named) });
  });
});
