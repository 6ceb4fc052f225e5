/** Latency at other loads than the one of the ratio: few and many connections, and a fixed rate. */
import { CONNECTIONS, type Compared, type Load, measureSide, type Side } from "./compare.ts";
import type { Level } from "./rows.ts";
import type { Setting } from "./setting.ts";

const FIXED_RATE = 200;
/** Enough that a request is never late for want of a connection, unless the service is slower than the rate. */
const CONNECTIONS_AT_RATE = 64;
/** A stall of the runtime's garbage collector every few seconds must show. */
const LONGER_AT_RATE = 1.5;

const loadsOf = (seconds: number): (Load & { name: string })[] => [
  { name: "1 connection", connections: 1, seconds: seconds / 2, rate: null },
  { name: `${CONNECTIONS} connections`, connections: CONNECTIONS, seconds: seconds / 2, rate: null },
  { name: "64 connections", connections: 64, seconds: seconds / 2, rate: null },
  {
    name: `${FIXED_RATE} requests a second`,
    connections: CONNECTIONS_AT_RATE,
    seconds: seconds * LONGER_AT_RATE,
    rate: FIXED_RATE,
  },
];

/** Those for which there is time. */
export async function levelsOf(
  { generator, seconds, isOver }: Pick<Setting, "generator" | "seconds" | "isOver">,
  [ours, control]: readonly [Side, Side],
  compared: Compared,
): Promise<Level[]> {
  const levels: Level[] = [];
  for (const { name, ...load } of loadsOf(seconds)) {
    const isMeasured = load.rate === null && load.connections === compared.ours.connections;
    if (isOver() && !isMeasured) continue;
    if (isMeasured) levels.push({ name, ours: compared.ours, control: compared.control });
    else
      levels.push({
        name,
        ours: await measureSide(generator, [ours, control], load),
        control: await measureSide(generator, [control, ours], load),
      });
  }
  return levels;
}
