/**
 * The way in. An address that was asked for before is known by its text, with its endpoint and its checked parameters;
 * every other request goes through the app's router. The same read again and again is so spared what routing costs,
 * which is a fifth of the least that a request can cost.
 */
import type { Hono } from "hono";
import { BoundedMap } from "../bounded-map.ts";
import { KNOWN_INPUT_MAX_CHARACTERS, KNOWN_INPUTS_MAX_CHARACTERS } from "../limits.ts";
import { isFromPage } from "./browser.ts";
import { AppContext } from "./context.ts";
import type { Endpoint, Input } from "./endpoint.ts";
import { observed } from "./observe.ts";

interface KnownAddress {
  endpoint: Endpoint;
  /** The pattern of its route. */
  route: string;
  /** The parameters that the address holds. */
  input: Input;
}

/** Shared by all tenants of this isolate: an address means the same for each of them. */
const addresses = new Map<string, BoundedMap<KnownAddress>>();

export function noteAddress(method: string, url: string, known: KnownAddress): void {
  if (url.length > KNOWN_INPUT_MAX_CHARACTERS) return;
  let ofMethod = addresses.get(method);
  if (!ofMethod) {
    ofMethod = new BoundedMap(KNOWN_INPUTS_MAX_CHARACTERS);
    addresses.set(method, ofMethod);
  }
  ofMethod.set(url, known, url.length);
}

/** The Worker's `fetch`. */
export function answerKnownFirst<E extends { Bindings: Env }>(app: Hono<E>) {
  return (request: Request, env: Env, executionCtx: ExecutionContext): Response | Promise<Response> => {
    const known = addresses.get(request.method)?.get(request.url);
    // A request from a page needs the cross-origin rules, which the router applies.
    if (!known || isFromPage(request)) return app.fetch(request, env, executionCtx);
    const { endpoint, route, input } = known;
    const c = new AppContext({ request, env, executionCtx }, route);
    return observed(c, () => endpoint.answer(c, () => input));
  };
}
