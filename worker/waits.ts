/** Waiting, and times until which something is waited for or left alone. */

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What `work` brings, if it does so in time. @throws what it throws, or an error when time is over; then it goes on unseen. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${ms} ms`)), ms);
  });
  try {
    // When time wins, `work` may still fail: the race has handled that.
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Whether such a time is still to come. One that is further away than it can be is none: the clock has stepped back.
 *
 * @param lastsMs How far away it was when it was set.
 */
export function isAhead(untilMs: number | undefined, nowMs: number, lastsMs: number): boolean {
  const leftMs = (untilMs ?? nowMs) - nowMs;
  return leftMs > 0 && leftMs <= lastsMs;
}
