/** What a request carries on its way through the app. */
import type { Context } from "hono";
import type { Settings } from "../env.ts";
import type { Log } from "../log.ts";
import type { RequestMetrics } from "../monitoring/request-metrics.ts";
import type { Principal } from "./auth.ts";

export interface Variables {
  requestId: string;
  settings: Settings;
  log: Log;
  /** Undefined when metrics are off. */
  metrics: RequestMetrics | undefined;
  /** Who asks; set by the endpoint's authorisation, so absent on public ones. */
  principal: Principal;
  /** The request's body as it came; absent where there is none. */
  bodyText: string | undefined;
  /** The pattern of the route, such as `/api/v1/items`; never the path, which holds entity values. */
  route: string;
}

export type AppEnv = { Bindings: Env; Variables: Variables };
export type AppContext = Context<AppEnv>;

/** What reading or writing on behalf of a request needs of it. */
export interface RequestContext {
  env: Env;
  settings: Settings;
  tenant: string;
  log: Log;
  nowMs: number;
  /** What the request costs; undefined where nobody counts it. */
  metrics?: RequestMetrics | undefined;
  /** Runs something after the answer. */
  after: (work: Promise<unknown>) => void;
}

export function requestContext(c: AppContext): RequestContext {
  // `c.var` would make an object of all of them each time.
  const { tenant } = c.get("principal");
  const after = (work: Promise<unknown>) => c.executionCtx.waitUntil(work);
  return {
    env: c.env,
    settings: c.get("settings"),
    tenant,
    log: c.get("log"),
    nowMs: Date.now(),
    metrics: c.get("metrics"),
    after,
  };
}
