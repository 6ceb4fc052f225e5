/** From a request to the writers and back: idempotency, what this isolate remembers, and the consistency token. */
import type { Idempotency } from "../db/idempotency-record.ts";
import { Problem, unprocessable } from "../errors.ts";
import { type AppContext, requestContext, type TenantContext } from "../http/context.ts";
import { type EntityRef, entityKey } from "../keys.ts";
import { MAX_IDEMPOTENCY_KEY_CHARACTERS, MAX_WRITE_BYTES } from "../limits.ts";
import { encodeToken } from "../serving/consistency.ts";
import { TOKEN_HEADER } from "../serving/read-context.ts";
import { formatTimestamp } from "../timestamps.ts";
import type { EntityChange, RequestRow, RowResult } from "./entity-write.ts";
import { rememberWrites } from "./remember-writes.ts";
import { IDEMPOTENCY_HEADER, recallChange, type Submitted, submitChanges } from "./submit-changes.ts";

/** For the API documents of every route that honours the header. */
export const writeRequestHeaders = {
  [IDEMPOTENCY_HEADER]:
    "The same key and request within 24 hours answers the first response again; another request is 422.",
};
/** Of an answer that is that of an earlier request. */
export const REPLAYED = { "idempotency-replayed": "true" };
export const replayedHeader = {
  "idempotency-replayed": "`true` when the answer is that of an earlier request.",
};
export const writeAnswerHeaders = {
  [TOKEN_HEADER]: "Send it with a read that must not be older than this write.",
  ...replayedHeader,
};

export interface Answered {
  /** In the order of the rows. */
  results: RowResult[];
  timestamp: string;
  headers: Record<string, string>;
  /** Those of a refusal. */
  refusalHeaders: Record<string, string>;
}

/** Commits changes. @throws Problem as `submitChanges`, 413 for more than a writer can be sent, 422 for a malformed `Idempotency-Key`. */
export async function submitRequest(c: AppContext, rows: readonly RequestRow[]): Promise<Answered> {
  const context = requestContext(c);
  const changes = rows.filter((row) => row.kind !== "refused");
  assertSent(changes);
  context.metrics?.writing(changes);
  return answered(context, rows, await submitChanges(context, rows, await idempotencyOf(c)));
}

/**
 * The answer to an earlier request with the same `Idempotency-Key`, for a write that is refused by now.
 *
 * @throws refusal where there was none; Problem as `recallChange`, 422 for a malformed `Idempotency-Key`.
 */
export async function answeredBefore(c: AppContext, ref: EntityRef, refusal: Problem): Promise<Answered> {
  const context = requestContext(c);
  const idempotency = await idempotencyOf(c);
  const submitted = idempotency && (await recallChange(context, ref, idempotency));
  if (!submitted) throw refusal;
  return answered(context, [ref], submitted);
}

function answered(context: TenantContext, rows: readonly EntityRef[], submitted: Submitted): Answered {
  const { results, bookmarks } = submitted;
  rememberWrites(context, rows, submitted);
  const [only, ...others] = rows.flatMap((row, i) => {
    const result = results[i];
    return result && "revision" in result ? { key: entityKey(row), revision: result.revision } : [];
  });
  const entity = only && others.length === 0 ? only : null;
  const replayed = submitted.replayed ? REPLAYED : {};
  return {
    results,
    timestamp: formatTimestamp(submitted.committedAt),
    headers: {
      [TOKEN_HEADER]: encodeToken({ entity, bookmarks }),
      ...replayed,
    },
    refusalHeaders: replayed,
  };
}

/** @throws Problem 413 for more than a call of a writer takes. */
function assertSent(changes: readonly EntityChange[]): void {
  // Looked at more closely only where two bytes to a character would be too many.
  if (2 * sumOfTexts(changes, (text) => text.length) <= MAX_WRITE_BYTES) return;
  const bytes = sumOfTexts(changes, (text) => text.length * (WIDE.test(text) ? 2 : 1));
  if (bytes <= MAX_WRITE_BYTES) return;
  throw new Problem(
    413,
    `the features are ${bytes} bytes on their way to a writer, which takes ${MAX_WRITE_BYTES} of a request: a number is written with all of its digits, a text with a character beyond ÿ in two bytes for each, and names come twice`,
  );
}

function sumOfTexts(changes: readonly EntityChange[], weightOf: (text: string) => number): number {
  let sum = 0;
  for (const change of changes) {
    for (const { data, names } of change.kind === "write" ? change.categories : []) {
      sum += weightOf(data);
      for (const name of names) sum += weightOf(name);
    }
  }
  return sum;
}

/** With one such character all of a text is kept in two bytes each. */
const WIDE = /[\u0100-\uffff]/;

export async function idempotencyOf(c: AppContext): Promise<Idempotency | null> {
  const key = c.header(IDEMPOTENCY_HEADER);
  if (key === undefined) return null;
  if (key.length === 0 || key.length > MAX_IDEMPOTENCY_KEY_CHARACTERS) {
    const msg = `must have 1 to ${MAX_IDEMPOTENCY_KEY_CHARACTERS} characters`;
    throw unprocessable(
      { loc: ["header", IDEMPOTENCY_HEADER], msg, type: "invalid" },
      `${IDEMPOTENCY_HEADER}: ${msg}`,
    );
  }
  const body = c.bodyText ?? "";
  const url = new URL(c.request.url);
  const request = new TextEncoder().encode([c.request.method, url.pathname, url.search, body].join("\n"));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", request));
  return { key, fingerprint: digest.toHex() };
}
