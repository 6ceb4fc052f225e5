/** Waiting, and times until which something is waited for or left alone. */

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The result of `work`. @throws what `work` throws, or an error after `ms`; `work` itself is not stopped by that. */
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
 * Whether a time that was set is still to come. If it is further away than it was then, the clock has stepped back, and
 * it counts as over.
 *
 * @param lastsMs How far away it was when it was set.
 */
export function isAhead(untilMs: number | undefined, nowMs: number, lastsMs: number): boolean {
  const leftMs = (untilMs ?? nowMs) - nowMs;
  return leftMs > 0 && leftMs <= lastsMs;
}
