/** Times until which something is waited for, or left alone. */

/**
 * Whether such a time is still to come. One that is further away than it can be is none: the clock has stepped back.
 *
 * @param lastsMs How far away it was when it was set.
 */
export function isAhead(untilMs: number | undefined, nowMs: number, lastsMs: number): boolean {
  const leftMs = (untilMs ?? nowMs) - nowMs;
  return leftMs > 0 && leftMs <= lastsMs;
}
