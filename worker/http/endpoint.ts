/**
 * An endpoint: schema, documents and handler together. `app.ts` mounts it and `docs/` describes it from the same
 * object, so that neither can be without the other.
 */
import { zValidator } from "@hono/zod-validator";
import type { Hono, MiddlewareHandler } from "hono";
import type * as z from "zod";
import { type Fault, Problem, type ProblemStatus } from "../errors.ts";
import { authorise, type Scope } from "./auth.ts";
import type { AppContext, AppEnv } from "./context.ts";
import { limitBody, readJson } from "./json-body.ts";

/** What an endpoint takes: each part is checked by its schema before the handler runs. */
export interface RequestSchemas {
  param?: z.ZodType;
  query?: z.ZodType;
  json?: z.ZodType;
}

type InputOf<R extends RequestSchemas> = {
  [Part in keyof R]: R[Part] extends z.ZodType ? z.output<R[Part]> : never;
};

/** A successful answer: its schema with an example, or just what it is. */
export interface AnswerSpec {
  description: string;
  schema?: z.ZodType;
  contentType?: string;
  headers?: Record<string, string>;
}

export interface EndpointSpec<R extends RequestSchemas = RequestSchemas> {
  method: "get" | "post" | "put" | "patch" | "delete";
  /** Full path, parameters as `{name}`. */
  path: string;
  /** Other paths that answer the same. */
  aliases?: string[];
  tag: string;
  summary: string;
  description?: string;
  scope: Scope | "public";
  request: R;
  /** A request without a body is taken too: the handler then has no `json`. */
  bodyOptional?: boolean;
  /** Request headers that the handler reads, with their meaning. */
  requestHeaders?: Record<string, string>;
  answers: Record<number, AnswerSpec>;
  /** Problems beside those that every endpoint of its kind can have. */
  problems?: ProblemStatus[];
}

export interface Endpoint {
  spec: EndpointSpec;
  handlers: MiddlewareHandler<AppEnv>[];
}

type Handle<R extends RequestSchemas> = (c: AppContext, input: InputOf<R>) => Response | Promise<Response>;

export function endpoint<R extends RequestSchemas>(spec: EndpointSpec<R>, handle: Handle<R>): Endpoint {
  const handlers: MiddlewareHandler<AppEnv>[] = [];
  if (spec.scope !== "public") handlers.push(authorise(spec.scope));
  const parts: (keyof RequestSchemas)[] = ["param", "query", "json"];
  for (const part of parts) {
    const schema = spec.request[part];
    if (!schema) continue;
    const check = validated(part, schema);
    if (part !== "json") handlers.push(check);
    else if (spec.bodyOptional) handlers.push(limitBody, ifThereIsABody(readJson), ifThereIsABody(check));
    else handlers.push(limitBody, readJson, check);
  }
  handlers.push(async (c) => {
    const input: Partial<Record<keyof RequestSchemas, unknown>> = {};
    for (const part of parts) if (spec.request[part]) input[part] = c.req.valid(part as never);
    return handle(c, input as InputOf<R>);
  });
  return { spec, handlers };
}

function ifThereIsABody(handler: MiddlewareHandler<AppEnv>): MiddlewareHandler<AppEnv> {
  return async (c, next) => ((await c.req.text()) === "" ? next() : handler(c, next));
}

export function mount(app: Hono<AppEnv>, { spec, handlers }: Endpoint): void {
  for (const path of [spec.path, ...(spec.aliases ?? [])]) {
    const note: MiddlewareHandler<AppEnv> = async (c, next) => {
      c.set("route", path);
      await next();
    };
    app.on(spec.method.toUpperCase(), honoPath(path), note, ...handlers);
  }
}

/** `/get/item/{id}` → `/get/item/:id`. */
export function honoPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ":$1");
}

/** FastAPI's words for the parts of a request. */
const PARTS = { param: "path", query: "query", json: "body" } as const;

function validated(part: keyof RequestSchemas, schema: z.ZodType): MiddlewareHandler<AppEnv> {
  return zValidator(part, schema, (result) => {
    if (result.success) return;
    const faults = faultsOf(result.error.issues as z.core.$ZodIssue[], [PARTS[part]]);
    const [first] = faults;
    const others = faults.length > 1 ? ` (and ${faults.length - 1} more)` : "";
    throw new Problem(422, `${first?.loc.join(".")}: ${first?.msg}${others}`, { errors: faults });
  }) as unknown as MiddlewareHandler<AppEnv>;
}

/** An answer names this many faults at most: one more tells nobody anything. */
const MAX_FAULTS = 20;

/** Of a union the alternative that came furthest, flattened; never the value that was sent. */
function faultsOf(issues: readonly z.core.$ZodIssue[], at: (string | number)[]): Fault[] {
  return issues
    .flatMap((issue): Fault[] => {
      const loc = [...at, ...issue.path.map((step) => (typeof step === "number" ? step : String(step)))];
      const [closest] =
        issue.code === "invalid_union" ? issue.errors.toSorted((a, b) => depth(b) - depth(a)) : [];
      if (closest && closest.length > 0 && depth(closest) > 0) return faultsOf(closest, loc);
      return [{ loc, msg: issue.message, type: issue.code ?? "invalid" }];
    })
    .slice(0, MAX_FAULTS);
}

function depth(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map(({ path }) => path.length));
}
