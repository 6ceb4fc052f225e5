/** Whether the service says of itself what its callers will find. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { ask, production, storedKey } from "../tenants/service.ts";

const withoutSecret = { API_KEY_SECRET: undefined } as unknown as Partial<Env>;
const checksOf = (text: string) => JSON.parse(text).checks;

describe.each(["/health", "/api/v1/health", "/ready", "/api/v1/ready"])("GET %s", (path) => {
  const isHealth = path.endsWith("health");

  test.each([
    ["missing", withoutSecret],
    ["too short", { API_KEY_SECRET: "short" }],
  ])(
    "is 503 in production when the secret of the keys is %s, as every request with a key is",
    async (_, over) => {
      const broken = { ...production, ...over } as Env;
      const { key } = await storedKey("default", ["read"]);
      const refused = await ask("GET /api/v1/features", { key, env: broken });
      expect(refused.status).toBe(503);
      const { status, text } = await ask(`GET ${path}`, { env: broken });
      expect(status).toBe(503);
      if (!isHealth) return expect(JSON.parse(text)).toEqual({ ready: false });
      expect(JSON.parse(text)).toMatchObject({ status: "unhealthy", database_connection: true });
      expect(checksOf(text)).toMatchObject({ d1: { ok: true }, api_keys: { ok: false, needed: true } });
    },
  );

  test("is 200 with the secret, and in development without it", async () => {
    for (const own of [production, env, { ...env, ...withoutSecret } as Env]) {
      const { status, text } = await ask(`GET ${path}`, { env: own });
      expect(status, text).toBe(200);
      const isDevelopment = own !== production;
      if (!isHealth) continue;
      const ok = own.API_KEY_SECRET !== undefined;
      expect(checksOf(text).api_keys).toEqual({ ok, needed: !isDevelopment, duration_ms: 0 });
    }
  });
});
