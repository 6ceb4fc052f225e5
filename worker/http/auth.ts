/**
 * Who asks, and what they may do. Fails closed: whatever is not proven is refused.
 *
 * In development a request without a key is the tenant `default` with every scope, so that the first curl works.
 */
import type { MiddlewareHandler } from "hono";
import { Problem } from "../errors.ts";
import type { AppContext, AppEnv } from "./context.ts";

export const SCOPES = ["read", "write", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

export interface Principal {
  tenant: string;
  scopes: ReadonlySet<Scope>;
}

export const DEFAULT_TENANT = "default";

const DEVELOPER: Principal = { tenant: DEFAULT_TENANT, scopes: new Set(SCOPES) };

/** @throws Problem 401 without a valid key, 403 when the key lacks the scope. */
export function authorise(scope: Scope): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const principal = authenticate(c);
    if (!principal.scopes.has(scope)) throw new Problem(403, `this key has no \`${scope}\` scope`);
    c.set("principal", principal);
    await next();
  };
}

function authenticate(c: AppContext): Principal {
  const key = c.req.header("x-api-key") ?? bearer(c.req.header("authorization"));
  if (key === undefined && c.var.settings.isDevelopment) return DEVELOPER;
  throw new Problem(
    401,
    key === undefined ? "an API key is needed: header X-API-Key" : "this API key is not valid",
    {
      headers: { "www-authenticate": "Bearer" },
    },
  );
}

function bearer(authorization: string | undefined): string | undefined {
  return authorization?.match(/^Bearer +(\S+)$/i)?.[1];
}
