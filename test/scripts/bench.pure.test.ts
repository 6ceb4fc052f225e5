import { createServer } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { activeMs } from "../../scripts/bench/bundle.ts";
import { shuffled } from "../../scripts/bench/data.ts";
import { measure } from "../../scripts/bench/generator.ts";
import type { RowResult } from "../../scripts/bench/rows.ts";
import { isMet, median, pairedRatio } from "../../scripts/bench/statistics.ts";
import { levelTable, mainTable, remarks, verdictOf } from "../../scripts/bench/table.ts";

describe("medians", () => {
  test("of an odd and of an even number", () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(() => median([])).toThrow();
  });

  test("a ratio is the same however much a machine slows both of a pair", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.1, max: 10, noNaN: true }), { minLength: 1, maxLength: 9 }),
        (speeds) => {
          const ours = speeds.map((speed) => 800 * speed);
          const control = speeds.map((speed) => 1_000 * speed);
          expect(pairedRatio(ours, control)).toBeCloseTo(0.8);
        },
      ),
    );
  });
});

test.each([
  ["at least", 0.8, 0.8, true],
  ["at least", 0.8, 0.79, false],
  ["at most", 250, 250, true],
  ["at most", 250, 250.1, false],
  ["less than", 1.5, 1.49, true],
  ["less than", 1.5, 1.5, false],
] as const)("a goal of %s %d is met by %d: %s", (bound, value, measured, met) => {
  expect(isMet(measured, { bound, value })).toBe(met);
});

test("a shuffle holds each position once, and is its seed's", () => {
  const some = shuffled(3, 500);
  expect(some.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, i) => i));
  expect(shuffled(3, 500)).toEqual(some);
  expect(shuffled(4, 500)).not.toEqual(some);
});

test("a start's active time leaves out what the processor waited", () => {
  const nodes = [
    { id: 1, callFrame: { functionName: "(idle)" } },
    { id: 2, callFrame: { functionName: "(program)" } },
    { id: 3, callFrame: { functionName: "main" } },
  ];
  expect(activeMs({ nodes, samples: [1, 2, 3, 1], timeDeltas: [50_000, 2_000, 3_500, 9_000] })).toBe(5.5);
});

describe("a load at a fixed rate", () => {
  test("counts what was never answered with all the time that it had waited", async () => {
    let requests = 0;
    // Answers one and then none, as a service that stalls.
    const server = createServer((socket) => {
      socket.once("error", () => socket.destroy());
      socket.on("data", () => {
        requests += 1;
        if (requests === 1) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const request = Buffer.from("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    const job = { port, requests: [request], connections: 10, durationMs: 200, rate: 50, lastAnswerMs: 100 };
    const measured = await measure(job);
    server.close();
    expect(measured.failures).toEqual({ "no answer": 9 });
    expect(measured.answers).toBe(1);
    expect(measured.p50).toBeGreaterThan(100);
  });
});

describe("the table", () => {
  const summary = {
    connections: 16,
    rate: null,
    requestsPerSecond: 8_000,
    p50: 1.23,
    p99: 45.6,
    max: 90,
    bytesPerAnswer: 600,
    cpuPerRequest: null,
    failures: {},
    sources: { memory: 99, kv: 1 },
  };
  const row: RowResult = {
    work: "hot read",
    against: "a constant",
    features: 20,
    compared: {
      ours: summary,
      control: { ...summary, requestsPerSecond: 10_000 },
      ratio: 0.8,
      ratios: [0.8],
    },
    value: 0.8,
    unit: "×",
    goal: { bound: "at least", value: 0.9 },
    levels: [{ name: "1 connection", ours: summary, control: summary }],
    note: "",
  };

  test("a row has its figures, its goal and whether it is met", () => {
    expect(mainTable([row])).toMatch(/^hot read +8,000 +160,000 +1\.2 +46 +10,000 +0\.80 +≥ 0\.9 +missed$/m);
    expect(verdictOf({ ...row, goal: { bound: "at least", value: 0.8 } })).toBe("met");
    expect(verdictOf({ ...row, goal: null })).toBe("–");
  });

  test("beside a control that failed, or that never answered, nothing is met", () => {
    const compared = row.compared;
    if (!compared) throw new Error("it is compared");
    const { control, ours } = compared;
    const goal = { bound: "at least", value: 0.5 } as const;
    expect(verdictOf({ ...row, goal })).toBe("met");
    for (const broken of [
      { ...compared, control: { ...control, requestsPerSecond: 0 } },
      { ...compared, control: { ...control, failures: { "500": 900 } } },
      { ...compared, ours: { ...ours, failures: { "503": 1 } } },
    ]) {
      expect(verdictOf({ ...row, goal, value: Number.POSITIVE_INFINITY, compared: broken })).toBe("FAILED");
    }
  });

  test("other loads stand beside the control's", () => {
    expect(levelTable([row])).toMatch(/^hot read +8,000 \(1\.2\/46\)\n {2}control +8,000 \(1\.2\/46\)$/m);
  });

  test("what failed is said", () => {
    const failed = {
      ...row.levels[0],
      name: "1 connection",
      ours: { ...summary, failures: { "503": 7 } },
      control: null,
    };
    expect(remarks([{ ...row, levels: [failed] }]).join("\n")).toContain("FAILED ours: 7 × 503");
    expect(remarks([row]).join("\n")).not.toContain("FAILED");
    expect(remarks([row]).join("\n")).toContain("answers from memory 99 %, kv 1 %");
  });
});
