/** A request as it is behind the routes, through this isolate or another; the code that runs is the service's own. */
import { Problem } from "../../worker/errors.ts";
import { AppContext, requestContext } from "../../worker/http/context.ts";
import { entityKey } from "../../worker/keys.ts";
import { encodeToken } from "../../worker/serving/consistency.ts";
import { TOKEN_HEADER } from "../../worker/serving/read-context.ts";
import type { ChangeResult, EntityChange, RowResult } from "../../worker/writing/entity-write.ts";
import { submitChanges } from "../../worker/writing/submit-changes.ts";
import { idempotencyOf, submitRequest } from "../../worker/writing/submit-request.ts";

export interface Answer {
  results: ChangeResult[];
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

export async function throughThis(c: AppContext, changes: EntityChange[]): Promise<Answer> {
  const { results, timestamp, headers } = await submitRequest(c, changes);
  return { results: results.filter(isOfWriter), timestamp, token: headers[TOKEN_HEADER] ?? "" };
}

/** What another isolate does for its caller leaves nothing in this one's memory. */
export async function throughAnother(c: AppContext, changes: EntityChange[]): Promise<Answer> {
  const submitted = await submitChanges(requestContext(c), changes, await idempotencyOf(c));
  const { committedAt, bookmark } = submitted;
  const results = submitted.results.filter(isOfWriter);
  const [only] = changes;
  const entity =
    only && changes.length === 1 ? { key: entityKey(only), revision: results[0]?.revision ?? 0 } : null;
  return { results, timestamp: committedAt, token: encodeToken({ entity, bookmark }) };
}

const isOfWriter = (result: RowResult): result is ChangeResult => result.outcome !== "refused";

export function isUnavailable(cause: unknown): boolean {
  return cause instanceof Problem && cause.status === 503;
}
