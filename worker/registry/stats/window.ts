/** Which hours a request for statistics is about. Pure. */
import type { Fault } from "../../errors.ts";
import { DEFAULT_STATS_HOURS, MAX_STATS_HOURS } from "../../limits.ts";
import type { Micros } from "../../timestamps.ts";
import type { AskedHours } from "./feature-stats.ts";
import { hourOf } from "./series.ts";

interface AskedWindow {
  from?: Micros | undefined;
  to?: Micros | undefined;
  /** How many, instead of one of the two ends. */
  hours?: number | undefined;
}

/**
 * Whole hours: the one that `from` lies in is the first, the one that reaches up to `to` the last. What is left out:
 * `to` is now, `from` a day before it, the hour that is running included.
 */
export function askedHours(
  { from, to, hours }: AskedWindow,
  now: Micros,
): { kind: "hours"; asked: AskedHours } | { kind: "refused"; fault: Fault } {
  if (from !== undefined && to !== undefined && hours !== undefined)
    return refused("hours", "goes with one of from and to, not with both");
  const endsAfter = from !== undefined && to === undefined && hours !== undefined;
  const last = endsAfter ? hourOf(from) + hours - 1 : hourUpTo(to ?? now, to === undefined);
  const first = from === undefined ? last + 1 - (hours ?? DEFAULT_STATS_HOURS) : hourOf(from);
  if (from !== undefined && from > (to ?? now))
    return refused("from", to === undefined ? "must not be in the future" : "must not be after to");
  if (last - first >= MAX_STATS_HOURS)
    return refused("from", `must be at most ${MAX_STATS_HOURS} hours before the end`);
  return { kind: "hours", asked: { first, last: Math.max(first, last) } };
}

/** `to` itself does not belong to the window: 10:00 ends with the hour of 9. Now does. */
function hourUpTo(time: Micros, isNow: boolean): number {
  return isNow ? hourOf(time) : hourOf(time - 1);
}

function refused(parameter: string, msg: string): { kind: "refused"; fault: Fault } {
  return { kind: "refused", fault: { loc: ["query", parameter], msg, type: "invalid_window" } };
}
