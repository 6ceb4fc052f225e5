import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Pacer, WINDOW_MS } from "../../scripts/load/pacer.ts";

/** A run under a virtual clock: when a user is free is arbitrary, as with a service that stalls and comes back. */
const runs = fc.record({
  rate: fc.oneof(fc.integer({ min: 1, max: 3_000 }), fc.double({ min: 0.2, max: 50, noNaN: true })),
  slots: fc.integer({ min: 1, max: 400 }),
  // Until the next moment at which a user is free: mostly at once, now and then after a stall.
  gaps: fc.array(
    fc.oneof(
      { weight: 20, arbitrary: fc.double({ min: 0, max: 3, noNaN: true }) },
      { weight: 1, arbitrary: fc.double({ min: 50, max: 5_000, noNaN: true }) },
    ),
    { minLength: 1, maxLength: 600 },
  ),
  startMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
});

function simulate({
  rate,
  slots,
  gaps,
  startMs,
}: {
  rate: number;
  slots: number;
  gaps: number[];
  startMs: number;
}) {
  const pacer = new Pacer({ rate, startMs, slots });
  const sent: { atMs: number; slotMs: number }[] = [];
  const missed: { atMs: number; waitedMs: number }[] = [];
  let nowMs = startMs;
  for (const gap of gaps) {
    nowMs += gap;
    // Users without end: only the pacer holds them back.
    for (let due = pacer.take(nowMs); ; due = pacer.take(nowMs)) {
      for (const slotMs of due.missedMs) missed.push({ atMs: nowMs, waitedMs: nowMs - slotMs });
      if (due.slotMs === null) break;
      sent.push({ atMs: nowMs, slotMs: due.slotMs });
    }
  }
  for (const slotMs of pacer.rest(nowMs)) missed.push({ atMs: nowMs, waitedMs: nowMs - slotMs });
  return { pacer, sent, missed, nowMs };
}

// Of a sum of many fractions.
const ROUNDING_MS = 1e-3;

describe("pacing", () => {
  test("in no window, wherever it begins, more is sent than the rate allows", () => {
    fc.assert(
      fc.property(runs, (run) => {
        const { pacer, sent } = simulate(run);
        sent.forEach(({ atMs }, i) => {
          const first = sent[i - pacer.windowRequests];
          if (first) expect(atMs - first.atMs).toBeGreaterThanOrEqual(pacer.windowMs - ROUNDING_MS);
        });
      }),
    );
  });

  test("in no second more is sent than the rate says", () => {
    fc.assert(
      fc.property(runs, (run) => {
        // Also where a second is no whole number of windows: with what one window more may hold.
        const { pacer, sent } = simulate(run);
        const windows = Math.ceil(1_000 / pacer.windowMs - ROUNDING_MS);
        const most = windows * pacer.windowRequests;
        if (run.rate % 10 === 0) expect(most).toBe(run.rate);
        sent.forEach(({ atMs }, i) => {
          const beyond = sent[i + most];
          if (beyond) expect(beyond.atMs - atMs).toBeGreaterThanOrEqual(1_000 - ROUNDING_MS);
        });
      }),
    );
  });

  test.each([2_410, 10, 999_990])(
    "a whole number of requests in a tenth of a second is that number: %i",
    (rate) => {
      expect(new Pacer({ rate, startMs: 0, slots: 1 }).windowRequests).toBe(rate / 10);
    },
  );

  test("nothing is sent before its slot, nor later than a window after it", () => {
    fc.assert(
      fc.property(runs, (run) => {
        const { pacer, sent } = simulate(run);
        for (const { atMs, slotMs } of sent) {
          expect(atMs).toBeGreaterThanOrEqual(slotMs);
          expect(atMs - slotMs).toBeLessThanOrEqual(pacer.windowMs + ROUNDING_MS);
        }
      }),
    );
  });

  test("every slot is sent, missed or held back, once", () => {
    fc.assert(
      fc.property(runs, (run) => {
        const { pacer, sent, missed } = simulate(run);
        expect(sent.length + missed.length + pacer.heldBack).toBe(run.slots);
        expect(missed.every(({ waitedMs }) => waitedMs >= 0)).toBe(true);
      }),
    );
  });

  test("while a user is always free and looks in time, every slot is sent at its time", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 300 }), (rate, slots) => {
        const pacer = new Pacer({ rate, startMs: 0, slots });
        let count = 0;
        for (let nowMs = 0; !pacer.isOver; nowMs = pacer.nextMs) {
          const { slotMs, missedMs } = pacer.take(nowMs);
          expect(missedMs).toEqual([]);
          expect(slotMs).not.toBeNull();
          expect(nowMs - (slotMs ?? 0)).toBeLessThan(ROUNDING_MS);
          count += 1;
        }
        expect(count).toBe(slots);
      }),
    );
  });
});

test("timers that are late make nothing later than they are themselves, however long it goes on", () => {
  const lateMs = fc.array(fc.double({ min: 0, max: 20, noNaN: true }), { minLength: 50, maxLength: 50 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2_000 }), lateMs, (rate, late) => {
      const pacer = new Pacer({ rate, startMs: 0, slots: 3_000 });
      let looks = 0;
      while (!pacer.isOver) {
        const wantedMs = pacer.nextMs;
        const nowMs = wantedMs + (late[looks % late.length] ?? 0);
        looks += 1;
        for (let due = pacer.take(nowMs); ; due = pacer.take(nowMs)) {
          if (due.missedMs.length > 0) throw new Error("a slot is missed");
          if (due.slotMs === null) break;
          if (due.slotMs < wantedMs)
            throw new Error(`due ${wantedMs - due.slotMs} ms before it could be sent`);
        }
      }
    }),
    { numRuns: 30 },
  );
});

describe("a stall of three seconds at 100 requests a second", () => {
  const stalled = simulate({
    rate: 100,
    slots: 500,
    startMs: 0,
    gaps: [0, 3_000, ...new Array(400).fill(10)],
  });

  test("its slots are missed, each with the time it had waited, but for the last tenth of a second", () => {
    const duringStall = stalled.missed.filter(({ atMs }) => atMs === 3_000);
    expect(duringStall[0]?.waitedMs).toBe(2_990);
    expect(duringStall.at(-1)?.waitedMs).toBeGreaterThan(WINDOW_MS);
    expect(duringStall.length).toBe(289);
  });

  test("the pace after it is the pace before", () => {
    const after = stalled.sent.filter(({ atMs }) => atMs >= 3_000 + WINDOW_MS && atMs < 4_000 + WINDOW_MS);
    expect(after.length).toBe(100);
  });
});
