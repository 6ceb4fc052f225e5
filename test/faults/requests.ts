/** A request as it is behind the routes, through this isolate or another; the code that runs is the service's own. */
import { Problem } from "../../worker/errors.ts";
import { AppContext, requestContext } from "../../worker/http/context.ts";
import { entityKey } from "../../worker/keys.ts";
import { encodeToken } from "../../worker/serving/consistency.ts";
import { TOKEN_HEADER } from "../../worker/serving/read-context.ts";
import type { ChangeResult, RequestRow, RowResult } from "../../worker/writing/entity-write.ts";
import { submitChanges } from "../../worker/writing/submit-changes.ts";
import { idempotencyOf, submitRequest } from "../../worker/writing/submit-request.ts";

export interface Answer {
  /** By row; null for one that no writer was asked about. */
  results: (ChangeResult | null)[];
  timestamp: number | string;
  token: string;
}

interface Asked {
  env: Env;
  tenant: string;
  headers: Record<string, string | undefined>;
  body: string;
}

export function contextOf({ env, tenant, headers, body }: Asked): AppContext {
  const given = Object.entries(headers).filter(
    (header): header is [string, string] => header[1] !== undefined,
  );
  const request = new Request("http://localhost/", { method: "POST", headers: given });
  const c = new AppContext({ request, env, executionCtx: { waitUntil: () => {} } }, null);
  c.bodyText = body;
  c.principal = { tenant, scopes: new Set(), keyId: null };
  return c;
}

export async function throughThis(c: AppContext, rows: RequestRow[]): Promise<Answer> {
  const { results, timestamp, headers } = await submitRequest(c, rows);
  return { results: results.map(ofWriter), timestamp, token: headers[TOKEN_HEADER] ?? "" };
}

/** What another isolate does for its caller leaves nothing in this one's memory. */
export async function throughAnother(c: AppContext, rows: RequestRow[]): Promise<Answer> {
  const submitted = await submitChanges(requestContext(c), rows, await idempotencyOf(c));
  const { committedAt, bookmarks } = submitted;
  const results = submitted.results.map(ofWriter);
  const [only] = rows;
  const entity =
    only && rows.length === 1 ? { key: entityKey(only), revision: results[0]?.revision ?? 0 } : null;
  return { results, timestamp: committedAt, token: encodeToken({ entity, bookmarks }) };
}

const ofWriter = (result: RowResult): ChangeResult | null => (result.outcome === "refused" ? null : result);

export function isUnavailable(cause: unknown): boolean {
  return cause instanceof Problem && cause.status === 503;
}
