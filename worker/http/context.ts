/** A request on its way to its answer, and what it carries. */

import { type ServiceContext, type Settings, settings } from "../env.ts";
import { assert } from "../errors.ts";
import { keepHiddenClass } from "../hidden-classes.ts";
import { Log } from "../log.ts";
import { RequestMetrics } from "../monitoring/request-metrics.ts";
import type { Principal } from "./auth.ts";

const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** What the platform hands over with a request. */
interface Arrival {
  request: Request;
  env: Env;
  executionCtx: Pick<ExecutionContext, "waitUntil">;
}

export class AppContext {
  readonly startedMs = Date.now();
  readonly request: Request;
  readonly env: Env;
  readonly settings: Settings;
  readonly log: Log;
  /** The caller's own, where it is well-formed; else a new one. */
  readonly requestId: string;
  /** The pattern of the route, such as `/api/v1/items`; never the path, which holds entity values. */
  readonly route: string;
  /** Undefined when metrics are off. */
  readonly metrics: RequestMetrics | undefined;
  /** Runs something after the answer. */
  readonly after: (work: Promise<unknown>) => void;
  /** The request's body as it came; null where there is none, or it was not read. */
  bodyText: string | null = null;
  #principal: Principal | null = null;

  /** @param route The pattern that was matched; null where none was. */
  constructor({ request, env, executionCtx }: Arrival, route: string | null) {
    this.request = request;
    this.env = env;
    this.settings = settings(env);
    this.log = logOf(this.settings);
    const given = request.headers.get("x-request-id");
    this.requestId = given !== null && REQUEST_ID.test(given) ? given : crypto.randomUUID();
    this.route = route ?? "unknown";
    this.metrics = this.settings.metrics === "on" ? new RequestMetrics() : undefined;
    this.after = (work) => executionCtx.waitUntil(work);
    keepHiddenClass(this);
  }

  header(name: string): string | undefined {
    return this.request.headers.get(name) ?? undefined;
  }

  /** Who asks. */
  get principal(): Principal {
    assert(this.#principal, "an endpoint that asks who asks has a scope");
    return this.#principal;
  }

  set principal(principal: Principal) {
    this.#principal = principal;
  }

  /** Undefined on public routes and for requests that were refused. */
  get tenant(): string | undefined {
    return this.#principal?.tenant;
  }

  /** As {@link tenant}; undefined too where none is needed. */
  get keyId(): string | undefined {
    return this.#principal?.keyId ?? undefined;
  }
}

let logs: { of: Settings; log: Log } | undefined;

/** One log for all requests: it holds nothing of any of them. */
function logOf(own: Settings): Log {
  if (logs?.of !== own) {
    logs = { of: own, log: Log.of("http", own) };
  }
  return logs.log;
}

/** What is done on behalf of a tenant. */
export interface TenantContext extends ServiceContext {
  tenant: string;
  /** What the request costs; undefined where nobody counts it, or no request asks. */
  metrics?: RequestMetrics | undefined;
}

/** What reading on behalf of a request needs of it. */
export interface RequestContext extends TenantContext {
  nowMs: number;
  /** Runs something after the answer. */
  after: (work: Promise<unknown>) => void;
}

export function requestContext({
  env,
  settings,
  principal,
  log,
  metrics,
  after,
}: AppContext): RequestContext {
  return { env, settings, tenant: principal.tenant, log, nowMs: Date.now(), metrics, after };
}
