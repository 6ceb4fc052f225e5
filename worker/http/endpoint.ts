/**
 * An endpoint: schema, documents and handler together. `app.ts` mounts it and `docs/` describes it from the same
 * object, so that neither can be without the other.
 */
import type { Context, Hono, HonoRequest } from "hono";
import type * as z from "zod";
import { Problem, type ProblemStatus, unprocessable } from "../errors.ts";
import { lazily } from "../lazily.ts";
import type { Answer } from "./answer.ts";
import { authorise, type Scope } from "./auth.ts";
import { crossOrigin, isFromPage } from "./browser.ts";
import { AppContext } from "./context.ts";
import { faultsOf, PARSING } from "./faults.ts";
import type { Checked } from "./fields.ts";
import { parseBody, readBody } from "./json-body.ts";
import { noteAddress } from "./known-addresses.ts";
import { KnownInputs } from "./known-inputs.ts";
import { nearNames } from "./near-names.ts";
import { observed } from "./observe.ts";

/**
 * What an endpoint takes: each part is checked by its schema before the handler runs. The first request makes them, and not
 * the start, of which they would be a quarter.
 */
interface RequestSchemas {
  param?: () => z.ZodType;
  query?: () => z.ZodType;
  json?: () => z.ZodType;
}

/** The parts of a request, checked. */
export type Input = Partial<Record<keyof RequestSchemas, unknown>>;

type InputOf<R extends RequestSchemas> = {
  [Part in keyof R]: R[Part] extends () => z.ZodType ? Checked<R[Part]> : never;
};

/** A successful answer: its schema with an example, or just what it is. */
interface AnswerSpec {
  description: string;
  /** Made when it is asked for: only the API documents do so, and making all of them would be a tenth of the start. */
  schema?: () => z.ZodType;
  contentType?: string;
  /** Other forms of the same answer, chosen by `Accept`. */
  otherContentTypes?: readonly string[];
  headers?: Record<string, string>;
}

export interface EndpointSpec<R extends RequestSchemas = RequestSchemas> {
  method: "get" | "post" | "patch" | "delete";
  /** Full path, parameters as `{name}`. */
  path: string;
  /** Other paths that answer the same. */
  aliases?: string[];
  tag: string;
  summary: string;
  description?: string;
  scope: Scope | "public";
  /** Lets others in beside the keys that have the scope. @throws Problem as `authorise`, for all who may not. */
  authorise?: (c: AppContext) => Promise<void>;
  request: R;
  /** The same request comes again and again: its checked input is kept by its text. The handler must not change it. */
  isRepeated?: boolean;
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
  /** The parts of the request that are in its address. @throws Problem 422 naming the first that does not fit. */
  addressed: (request: HonoRequest) => Input;
  /** @param addressed Asked only once the caller is authorised. */
  answer: (c: AppContext, addressed: () => Input) => Promise<Answer | Response>;
}

/** A Response where the answer is a stream or another's; else an {@link Answer}. */
type Handle<R extends RequestSchemas> = (
  c: AppContext,
  input: InputOf<R>,
) => Answer | Response | Promise<Answer | Response>;

/**
 * One function for each endpoint, not a chain of middleware: the hot read is as long as it looks here.
 *
 * @throws Problem of authorisation, of the body, or 422 naming the first part that does not fit its schema.
 */
export function endpoint<R extends RequestSchemas>(spec: EndpointSpec<R>, handle: Handle<R>): Endpoint {
  const request: RequestSchemas = Object.fromEntries(
    Object.entries(spec.request).map(([part, schema]) => [part, lazily(schema)]),
  );
  const { param, query, json } = request;
  const known = spec.isRepeated ? new KnownInputs() : null;
  const addressed = (routed: HonoRequest): Input => ({
    ...(param && { param: validated("path", param(), routed.param()) }),
    ...(query && { query: validated("query", query(), queryOf(routed)) }),
  });
  const reading = { isOptional: spec.bodyOptional ?? false, isRepeated: spec.isRepeated ?? false };
  const parsed = (schema: z.ZodType, text: string) => validated("body", schema, parseBody(text));
  const answer = async (c: AppContext, ofAddress: () => Input) => {
    if (spec.authorise) await spec.authorise(c);
    else if (spec.scope !== "public") await authorise(c, spec.scope);
    const input = ofAddress();
    if (!json) return handle(c, input as InputOf<R>);
    const text = await readBody(c, reading);
    if (text === null) return handle(c, input as InputOf<R>);
    const body = known ? known.get(text, () => parsed(json(), text)) : parsed(json(), text);
    return handle(c, { param: input.param, query: input.query, json: body } as InputOf<R>);
  };
  return { spec: { ...spec, request }, addressed, answer };
}

export function mount(app: Hono<{ Bindings: Env }>, endpoint: Endpoint): void {
  const { spec, addressed, answer } = endpoint;
  const method = spec.method.toUpperCase();
  for (const route of [spec.path, ...(spec.aliases ?? [])]) {
    app.on(method, honoPath(route), (routed) => {
      const { req } = routed;
      const ofAddress = () => {
        const input = addressed(req);
        if (spec.isRepeated) noteAddress(method, req.url, { endpoint, route, input });
        return input;
      };
      return answerRouted(routed, route, (c) => answer(c, ofAddress));
    });
  }
}

/** @param route The pattern that the router found; null where it found none. */
export function answerRouted(
  routed: Context<{ Bindings: Env }>,
  route: string | null,
  work: (c: AppContext) => Promise<Answer | Response>,
): Promise<Response> {
  const { req, env, executionCtx } = routed;
  const c = new AppContext({ request: req.raw, env, executionCtx }, route);
  return observed(c, () => work(c), isFromPage(req.raw) ? crossOrigin(routed) : null);
}

/** A parameter that is given several times is an array, which no schema takes and `faults.ts` names. */
function queryOf(request: HonoRequest): Record<string, string | string[]> {
  const { url } = request;
  const start = url.indexOf("?");
  if (start === -1) return {};
  const first = request.query();
  // As many names as pairs: no parameter is given twice.
  if (Object.keys(first).length === url.slice(start).split("&").length) return first;
  const given = Object.entries(request.queries());
  return Object.fromEntries(
    given.map(([name, values]) => [name, values.length === 1 ? (values[0] ?? "") : values]),
  );
}

/** `/get/item/{id}` → `/get/item/:id`. */
export function honoPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ":$1");
}

/** zod hands all faults on as the arguments of a call: for a hundred thousand of them the stack is too small. */
function safelyParsed(part: string, schema: z.ZodType, value: unknown) {
  try {
    return schema.safeParse(value, PARSING);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw unprocessable({ loc: [part], msg: "has more faults than can be told", type: "too_many_faults" });
  }
}

/** @param part FastAPI's word for the part of the request. */
function validated(part: "path" | "query" | "body", schema: z.ZodType, value: unknown): unknown {
  const result = safelyParsed(part, schema, value);
  const faults = result.success
    ? nearNames(schema, value, [part])
    : faultsOf(result.error.issues as z.core.$ZodIssue[], value, [part]);
  if (result.success && faults.length === 0) return result.data;
  const [first] = faults;
  const others = faults.length > 1 ? ` (and ${faults.length - 1} more)` : "";
  throw new Problem(422, `${first?.loc.join(".")}: ${first?.msg}${others}`, { errors: faults });
}
