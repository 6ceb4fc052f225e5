/** Two things measured in turn, A B A B …, by the same generator with the same settings. */
import type { Generator } from "./generate-load.ts";
import type { Measured } from "./generator.ts";
import { cpuMs, quiet } from "./processes.ts";
import type { Server } from "./servers.ts";
import { median, pairedRatio } from "./statistics.ts";

export interface Side {
  server: Server;
  /** What is sent next; a cold read must be another one each time. */
  requests: (atMost: number) => Uint8Array[];
  once?: boolean;
}

export interface Load {
  connections: number;
  seconds: number;
  /** Null: closed loop. */
  rate: number | null;
}

export interface Summary {
  connections: number;
  rate: number | null;
  requestsPerSecond: number;
  p50: number;
  p99: number;
  max: number;
  bytesPerAnswer: number;
  /** Of the runtime's process, in microseconds; null where the system does not tell. */
  cpuPerRequest: number | null;
  failures: Record<string, number>;
  sources: Record<string, number>;
}

export interface Compared {
  ours: Summary;
  control: Summary;
  /** Of what is compared, mostly the requests a second: the median of the pairs. */
  ratio: number;
  /** Of each pair. */
  ratios: number[];
}

export const CONNECTIONS = 16;
const WARM_UP_SECONDS = 1;
const MOST_PER_SECOND = 1_500;

/** Unmeasured, and right before: a hot read is hot again, though the other side of the pair had its turn meanwhile. */
const LEAD_IN_MS = 300;

/** @param other It rests meanwhile: what its own turn left to do would slow this one. */
export async function measureSide(
  generator: Generator,
  [side, other]: readonly [Side, Side],
  load: Load,
): Promise<Summary> {
  const { connections, rate } = load;
  await quiet([side.server.pid, other.server.pid]);
  const send = (durationMs: number) =>
    generator.measure({
      port: side.server.port,
      requests: side.requests(Math.ceil(((rate ?? MOST_PER_SECOND) * durationMs) / 1_000)),
      once: side.once ?? false,
      connections,
      durationMs,
      rate,
    });
  if (!side.once) await send(LEAD_IN_MS);
  const usedMs = cpuMs(side.server.pid);
  const measured = await send(load.seconds * 1_000);
  const nowUsedMs = cpuMs(side.server.pid);
  return summaryOf(measured, load, usedMs === null || nowUsedMs === null ? null : nowUsedMs - usedMs);
}

function summaryOf(measured: Measured, { connections, rate }: Load, usedMs: number | null): Summary {
  const { answers, seconds, p50, p99, max, bytesPerAnswer, failures, sources } = measured;
  return {
    connections,
    rate,
    requestsPerSecond: answers > 0 ? answers / seconds : 0,
    p50,
    p99,
    max,
    bytesPerAnswer,
    cpuPerRequest: usedMs === null ? null : Math.round((usedMs * 1_000) / Math.max(1, answers)),
    failures,
    sources,
  };
}

interface Comparison extends Load {
  rounds: number;
  /** Whether each side has an unmeasured turn first. */
  warm?: boolean;
  isLate: () => boolean;
  /** What is compared, the more the better. */
  speedOf?: (summary: Summary) => number;
}

export async function compare(
  generator: Generator,
  [ours, control]: [Side, Side],
  {
    rounds,
    warm = true,
    isLate,
    speedOf = ({ requestsPerSecond }) => requestsPerSecond,
    ...load
  }: Comparison,
): Promise<Compared> {
  const [left, right] = [[ours, control] as const, [control, ours] as const];
  if (warm && !isLate()) {
    for (const sides of [left, right])
      await measureSide(generator, sides, { ...load, seconds: WARM_UP_SECONDS });
  }
  const [a, b]: [Summary[], Summary[]] = [[], []];
  for (let round = 0; round < rounds && (round === 0 || !isLate()); round += 1) {
    a.push(await measureSide(generator, left, load));
    b.push(await measureSide(generator, right, load));
  }
  const [speeds, controls] = [a.map(speedOf), b.map(speedOf)];
  const ratios = speeds.map((value, i) => value / (controls[i] ?? Number.NaN));
  return { ours: merged(a), control: merged(b), ratio: pairedRatio(speeds, controls), ratios };
}

/** The medians; failures and sources are added up. */
function merged(summaries: readonly Summary[]): Summary {
  const [first] = summaries;
  if (!first) throw new Error("a comparison needs a round");
  const middle = (of: (summary: Summary) => number) => median(summaries.map(of));
  const cpu = summaries.flatMap(({ cpuPerRequest }) => cpuPerRequest ?? []);
  return {
    ...first,
    requestsPerSecond: middle((one) => one.requestsPerSecond),
    p50: middle((one) => one.p50),
    p99: middle((one) => one.p99),
    max: Math.max(...summaries.map((one) => one.max)),
    cpuPerRequest: cpu.length > 0 ? median(cpu) : null,
    failures: added(summaries.map((one) => one.failures)),
    sources: added(summaries.map((one) => one.sources)),
  };
}

function added(counts: readonly Record<string, number>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const each of counts)
    for (const [name, n] of Object.entries(each)) total[name] = (total[name] ?? 0) + n;
  return total;
}
