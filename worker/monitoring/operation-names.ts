/** What a request was about: system A's names where it had one, else made from method and route. Pure. */
import { joinLabels } from "./metric-counts.ts";

const NAMED: Record<string, string> = {
  "GET /api/v1/get/item/{entity_value}/{category}": "read.single_item",
  "POST /api/v1/get/items": "read.multi_category",
  "POST /api/v1/get/item/{entity_value}": "read.multi_category",
  "POST /api/v1/features/online": "read.online",
  "POST /api/v1/features/batch": "read.training",
  "POST /api/v1/items": "write.multi_category",
  "POST /api/v1/items/{entity_value}": "write.multi_category",
  "POST /api/v1/items/batch": "write.batch",
  "DELETE /api/v1/cache/invalidate/{entity_id}": "cache.invalidate",
  "POST /api/v1/features/register": "write.features",
  "POST /api/v1/features/{feature}/compute": "compute.feature",
};

const VERBS: Record<string, string> = {
  GET: "read",
  HEAD: "read",
  POST: "write",
  PUT: "write",
  PATCH: "write",
  DELETE: "delete",
};

const METHODS = new Set([...Object.keys(VERBS), "OPTIONS"]);

/** A route as it is named everywhere. Kept, since putting its texts together for each request would cost more than counting it. */
class Route {
  readonly operation: string;
  readonly labels: string;
  readonly #withStatus = new Map<number, string>();

  constructor(endpoint: string, method: string) {
    this.operation = operationName(method, endpoint);
    this.labels = joinLabels([endpoint, method]);
  }

  withStatus(status: number): string {
    let labels = this.#withStatus.get(status);
    if (labels === undefined) {
      labels = joinLabels([this.labels, status]);
      this.#withStatus.set(status, labels);
    }
    return labels;
  }
}

const routes = new Map<string, Map<string, Route>>();

/** @param endpoint The pattern of a route, and `method` a {@link methodLabel}: there are few of both. */
export function routeOf(endpoint: string, method: string): Route {
  let byMethod = routes.get(endpoint);
  if (!byMethod) {
    byMethod = new Map();
    routes.set(endpoint, byMethod);
  }
  let route = byMethod.get(method);
  if (!route) {
    route = new Route(endpoint, method);
    byMethod.set(method, route);
  }
  return route;
}

/** A method may be any word of the caller's: of those that nothing answers to, one label. */
export const methodLabel = (method: string): string => (METHODS.has(method) ? method : "OTHER");

/** `DELETE /api/v1/raw-tables/{table_id}` → `delete.raw_tables`. */
export function operationName(method: string, endpoint: string): string {
  const named = NAMED[`${method} ${endpoint}`];
  if (named !== undefined) return named;
  const [about = "unknown"] = endpoint
    .replace(/^\/api\/v1/, "")
    .split("/")
    .filter((part) => part !== "" && part !== "admin" && !part.startsWith("{"));
  return `${VERBS[method] ?? "other"}.${about.replaceAll(/\W+/g, "_")}`;
}
