/**
 * Whether an error says that a store of the platform is away for now: what was asked may be asked again. Pure.
 *
 * D1 says so in words (https://developers.cloudflare.com/d1/observability/debug-d1/), objects by properties of the error
 * (https://developers.cloudflare.com/durable-objects/best-practices/error-handling/).
 */

/** What SQLite itself refuses will be refused again, but for these. */
const OF_SQLITE = /SQLITE_/;
const PASSING = /SQLITE_(?:BUSY|LOCKED|INTERRUPT|FULL|NOMEM|IOERR)/;
const OF_D1 = /^D1_(?:EXEC_)?ERROR/;

export function isStoreAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { retryable, overloaded, durableObjectReset } = error as Partial<Record<string, unknown>> & Error;
  if (retryable === true || overloaded === true || durableObjectReset === true) return true;
  if (OF_D1.test(error.message)) return !OF_SQLITE.test(error.message) || PASSING.test(error.message);
  // A query builder wraps what it was told.
  return isStoreAway(error.cause);
}
