/**
 * Who asks, and what they may do. Fails closed: whatever is not proven is refused.
 *
 * In development a request without a key is the tenant `default` with every scope, so that the first curl works: on the
 * developer's machine, not under a public name.
 */
import { Problem, unavailable } from "../errors.ts";
import { MIN_API_KEY_SECRET_CHARACTERS } from "../limits.ts";
import { type KeyRecord, SCOPES, type Scope } from "../tenants/api-key.ts";
import { keyMemory } from "../tenants/key-memory.ts";
import { DEFAULT_TENANT } from "../tenants/tenant-id.ts";
import { renewKey, type Verification, verifyFromMemory, verifyKey } from "../tenants/verify-key.ts";
import { RETRY_AFTER_SECONDS } from "../timings.ts";
import { bearerToken } from "./bearer.ts";
import type { AppContext } from "./context.ts";
import { isDevelopersHost } from "./local-names.ts";
import { limitRate } from "./rate-limit.ts";

export type { Scope } from "../tenants/api-key.ts";

export interface Principal {
  tenant: string;
  scopes: ReadonlySet<Scope>;
  /** Null for a request without a key, in development. */
  keyId: string | null;
}

const DEVELOPER: Principal = { tenant: DEFAULT_TENANT, scopes: new Set(SCOPES), keyId: null };

/**
 * Sets the request's principal.
 *
 * @throws Problem 401 without a valid key, 403 when the key lacks the scope or its tenant is suspended, 429 when it asks too
 * often, 503 when keys cannot be checked.
 */
export async function authorise(c: AppContext, scope: Scope): Promise<void> {
  // Nothing is awaited for a key that this isolate has seen a moment ago.
  const principal = rememberedPrincipal(c) ?? (await authenticate(c));
  if (principal.keyId !== null && c.settings.rateLimit === "on") await limitRate(c, principal.keyId);
  if (!principal.scopes.has(scope)) throw lacking(scope, principal.scopes);
  c.principal = principal;
}

/** No scope contains another: who holds an `admin` key must be told that it has that one alone. */
function lacking(scope: Scope, scopes: ReadonlySet<Scope>): Problem {
  const own = [...scopes].map((each) => `\`${each}\``).join(", ");
  return new Problem(403, `this key lacks the scope \`${scope}\`: it has ${own}`);
}

function rememberedPrincipal(c: AppContext): Principal | null {
  const text = c.header("x-api-key");
  if (text === undefined) return null;
  const verification = verifyFromMemory(text, c.startedMs);
  if (!verification || "refusal" in verification) return null;
  if (keyMemory.takeDue(text, c.startedMs)) c.after(renew(c, text));
  return principalOf(verification.record);
}

async function renew({ env, settings, log, requestId }: AppContext, text: string): Promise<void> {
  const pepper = settings.apiKeySecret;
  if (pepper === null) return;
  await renewKey({ db: env.DB, pepper, text, nowMs: Date.now() }).catch((cause: unknown) =>
    log.warning("a key could not be looked up again", { request_id: requestId }, cause),
  );
}

function principalOf({ tenantId, scopes, keyId }: KeyRecord): Principal {
  return { tenant: tenantId, scopes, keyId };
}

async function authenticate(c: AppContext): Promise<Principal> {
  const text = presentedKey(c);
  if (text === null) {
    if (c.settings.isDevelopment && isDevelopersHost(new URL(c.request.url).hostname)) return DEVELOPER;
    throw unauthorised("an API key is required: in the header X-API-Key, or as Authorization: Bearer");
  }
  const verification = await verify(c, text);
  if ("record" in verification) {
    if (keyMemory.takeDue(text, c.startedMs)) c.after(renew(c, text));
    return principalOf(verification.record);
  }
  const { refusal, keyId } = verification;
  c.log.info("key refused", { request_id: c.requestId, reason: refusal, key_id: keyId });
  // Only who has the secret gets to know it.
  if (refusal === "suspended")
    throw new Problem(403, "the tenant of this key is suspended: nothing is answered until it is resumed");
  // One text for all others, so that nobody learns which ids exist or which secret was once right.
  throw unauthorised("this API key is not valid");
}

/** @returns null when none is presented. An `Authorization` that is no bearer's is a key that is not valid. */
function presentedKey(c: AppContext): string | null {
  const own = c.header("x-api-key");
  if (own !== undefined) return own;
  const authorization = c.header("authorization");
  return authorization === undefined ? null : (bearerToken(authorization) ?? "");
}

async function verify(c: AppContext, text: string): Promise<Verification> {
  const { settings, log, requestId } = c;
  const pepper = settings.apiKeySecret;
  if (pepper === null) {
    const needed = `the secret API_KEY_SECRET must be set, with ${MIN_API_KEY_SECRET_CHARACTERS} characters or more`;
    log.error("no key can be checked", new Error(needed), { request_id: requestId });
    throw unavailable("API keys cannot be checked now", RETRY_AFTER_SECONDS);
  }
  try {
    return await verifyKey({ db: c.env.DB, pepper, text, nowMs: Date.now() });
  } catch (cause) {
    log.error("a key could not be looked up", cause, { request_id: requestId });
    throw unavailable("API keys cannot be checked now", RETRY_AFTER_SECONDS);
  }
}

function unauthorised(detail: string): Problem {
  return new Problem(401, detail, { headers: { "www-authenticate": "Bearer" } });
}
