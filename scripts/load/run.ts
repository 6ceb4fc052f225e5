/** The load itself: users who ask at the pace of {@link Pacer} until the time is over. */
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { randomOf } from "../random.ts";
import { ask, type Target } from "./ask.ts";
import { type Kind, nextRequest } from "./mix.ts";
import { Pacer } from "./pacer.ts";
import { Tally } from "./tally.ts";

export interface RunOptions {
  target: Target;
  users: number;
  rate: number;
  durationSeconds: number;
  seed: number;
  entities: number;
  /** Called about every {@link TICK_MS}, also while nothing answers. */
  onTick: (state: { tally: Tally; underWay: number; seconds: number }) => void;
  /** True ends the run before its time. */
  isStopped: () => boolean;
}

export interface RunResult {
  tally: Tally;
  /** Requests that were due within the duration, or until it was stopped. */
  slots: number;
  /** Of these, those that would have been sent faster than the rate: a timer was late. */
  heldBack: number;
  /** From the first slot to the end of the duration; shorter when it was stopped. */
  seconds: number;
}

const TICK_MS = 100;
const now = () => performance.now();

/** Requests without an answer yet. */
type UnderWay = Map<Promise<void>, { kind: Kind; slotMs: number }>;

export async function run(options: RunOptions): Promise<RunResult> {
  const { target, users, rate, durationSeconds, seed, entities, isStopped } = options;
  const random = randomOf(seed);
  const tally = new Tally();
  const startMs = now();
  const endMs = startMs + durationSeconds * 1_000;
  const slots = Math.max(1, Math.floor(rate * durationSeconds));
  const pacer = new Pacer({ rate, startMs, slots });
  const underWay: UnderWay = new Map();
  /** Missed since the last request was sent. */
  let passedMs: number[] = [];
  let wake = () => {};

  const send = (slotMs: number) => {
    const { kind, ...request } = nextRequest(random, entities);
    const inItsPlaceMs = passedMs;
    passedMs = [];
    const asking = ask(target, request, { fromMs: slotMs, nowMs: now }).then((outcome) => {
      if (!underWay.delete(asking)) return;
      tally.add(kind, outcome);
      // Whoever was not sent would not have been answered before the one that was.
      tally.addWaits(inItsPlaceMs.map((missedMs) => now() - missedMs));
      wake();
    });
    underWay.set(asking, { kind, slotMs });
  };

  while (!pacer.isOver && now() < endMs && !isStopped()) {
    while (underWay.size < users) {
      const { slotMs, missedMs } = pacer.take(now());
      tally.missed += missedMs.length;
      passedMs.push(...missedMs);
      if (slotMs === null) break;
      send(slotMs);
    }
    options.onTick({ tally, underWay: underWay.size, seconds: (now() - startMs) / 1_000 });
    const dueMs = underWay.size < users && !pacer.isOver ? pacer.nextMs : Number.POSITIVE_INFINITY;
    const waitMs = Math.max(0, Math.min(dueMs - now(), TICK_MS, endMs - now()));
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    // A timer is a millisecond late, and what is late once cannot be caught up.
    await Promise.race([waitMs < 1 ? turn() : sleep(Math.floor(waitMs)), woken]);
  }
  const seconds = isStopped() ? (now() - startMs) / 1_000 : durationSeconds;
  const due = isStopped() ? pacer.taken : slots;
  const restMs = isStopped() ? [] : pacer.rest(now());
  tally.missed += restMs.length;
  tally.addWaits([...passedMs, ...restMs].map((missedMs) => now() - missedMs));
  await settle(underWay, options, { tally, startMs });
  return { tally, slots: due, heldBack: pacer.heldBack, seconds };
}

/** What is under way when the time is over may come to its end: its timeout bounds it. Who stops the run gives it up. */
async function settle(
  underWay: UnderWay,
  { onTick, isStopped }: RunOptions,
  { tally, startMs }: { tally: Tally; startMs: number },
): Promise<void> {
  while (underWay.size > 0 && !isStopped()) {
    await Promise.race([Promise.all(underWay.keys()), sleep(TICK_MS)]);
    onTick({ tally, underWay: underWay.size, seconds: (now() - startMs) / 1_000 });
  }
  for (const { kind, slotMs } of underWay.values()) {
    tally.add(kind, { kind: "failed", what: "given up: the run was stopped", latencyMs: now() - slotMs });
  }
  underWay.clear();
}
