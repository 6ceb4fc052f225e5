/** The load itself: users who ask at the pace of {@link Pacer} until the time is over. */
import { setTimeout as sleep } from "node:timers/promises";
import { randomOf } from "../random.ts";
import { ask, type Target } from "./ask.ts";
import { nextRequest } from "./mix.ts";
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
  /** Requests that were due within the duration. */
  slots: number;
  /** From the first slot to the end of the duration; shorter when it was stopped. */
  seconds: number;
}

const TICK_MS = 100;
const now = () => performance.now();

export async function run(options: RunOptions): Promise<RunResult> {
  const { target, users, rate, durationSeconds, seed, entities, isStopped } = options;
  const random = randomOf(seed);
  const tally = new Tally();
  const startMs = now();
  const endMs = startMs + durationSeconds * 1_000;
  const slots = Math.max(1, Math.floor(rate * durationSeconds));
  const pacer = new Pacer({ rate, startMs, slots });
  const underWay = new Set<Promise<void>>();
  let wake = () => {};

  const send = (slotMs: number) => {
    const { kind, ...request } = nextRequest(random, entities);
    const asking = ask(target, request, { fromMs: slotMs, nowMs: now }).then((outcome) => {
      tally.add(kind, outcome);
      underWay.delete(asking);
      wake();
    });
    underWay.add(asking);
  };

  while (!pacer.isOver && now() < endMs && !isStopped()) {
    while (underWay.size < users) {
      const { slotMs, missedMs } = pacer.take(now());
      tally.addMissed(missedMs);
      if (slotMs === null) break;
      send(slotMs);
    }
    options.onTick({ tally, underWay: underWay.size, seconds: (now() - startMs) / 1_000 });
    const dueMs = underWay.size < users && !pacer.isOver ? pacer.nextMs : Number.POSITIVE_INFINITY;
    await Promise.race([
      sleep(Math.max(0, Math.min(dueMs - now(), TICK_MS, endMs - now()))),
      new Promise<void>((resolve) => {
        wake = resolve;
      }),
    ]);
  }
  const seconds = isStopped() ? (now() - startMs) / 1_000 : durationSeconds;
  if (!isStopped()) tally.addMissed(pacer.rest(now()));
  await settle(underWay, options, { tally, startMs });
  return { tally, slots, seconds };
}

/** What is under way when the time is over may come to its end: its timeout bounds it. */
async function settle(
  underWay: ReadonlySet<Promise<void>>,
  { onTick, isStopped }: RunOptions,
  { tally, startMs }: { tally: Tally; startMs: number },
): Promise<void> {
  while (underWay.size > 0 && !isStopped()) {
    await Promise.race([Promise.all(underWay), sleep(TICK_MS)]);
    onTick({ tally, underWay: underWay.size, seconds: (now() - startMs) / 1_000 });
  }
}
