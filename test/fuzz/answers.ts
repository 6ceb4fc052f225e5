/** What must hold of every answer, as the service's own document has it. */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { firstCharacters } from "../../worker/characters.ts";
import { INSIDES, SECRET } from "../setup/hostile.ts";
import { type Described, type OpenApi, operationsOf } from "../setup/openapi.ts";
import { faultOfForm } from "./forms.ts";
import type { FuzzAnswer, FuzzRequest } from "./send.ts";

export interface Judge {
  /** What is wrong with the answer; null when nothing is. */
  faultOf(request: FuzzRequest, answer: FuzzAnswer): string | null;
}

interface ProblemBody {
  status: number;
  request_id: string;
  errors?: { loc: (string | number)[] }[];
}

const PROBLEM = "application/problem+json";
const MAX_SHOWN = 400;
/** Each part of a request has one of its own behind the dash: see `odd-parts.ts`. */
const SECRETS = new RegExp(`${SECRET}(?:-[a-z]+)?`, "g");

/** @param secrets Texts that no answer may hold, such as the keys that exist. */
export function judgeOf(document: OpenApi, secrets: ReadonlySet<string>): Judge {
  const operations = operationsOf(document);
  const validatorOf = validators(document);
  return {
    faultOf(request, answer) {
      const described = operationOf(operations, request);
      const harm = harmOf(request, answer, secrets);
      const fault =
        harm ??
        (described ? faultOfDescribed(validatorOf, described, request, answer) : faultOfUnknown(answer));
      return fault && `${fault}\n${answer.status} ${answer.text.slice(0, MAX_SHOWN)}`;
    },
  };
}

/** What a request of this path reaches; undefined for a path of nobody. */
function operationOf(operations: readonly Described[], { method, path }: FuzzRequest): Described | undefined {
  const reached = decoded(path.split("?")[0] ?? "");
  const matching = operations.filter((each) => {
    const pattern = each.path.replaceAll(/[.]/g, "\\$&").replaceAll(/\{\w+\}/g, "[^/]+");
    return each.method === method && new RegExp(`^${pattern}$`, "s").test(reached);
  });
  // A path without parameters comes before one with them.
  return matching.toSorted((a, b) => parametersIn(a) - parametersIn(b))[0];
}

const parametersIn = ({ path }: Described) => path.split("{").length;

function decoded(pathname: string): string {
  try {
    return decodeURI(pathname.replaceAll("%25", "%2525"));
  } catch {
    return pathname;
  }
}

function harmOf(
  request: FuzzRequest,
  { status, headers, text }: FuzzAnswer,
  secrets: ReadonlySet<string>,
): string | null {
  if (status >= 500) return "an error of the service's own";
  const requestId = headers["x-request-id"];
  if (!requestId) return "no x-request-id";
  if ([...secrets].some((secret) => text.includes(secret))) return "a key is told";
  if (status < 400) return null;
  // The request's own id comes back, by design; and what an earlier request has named may be spoken of.
  const others = text.replaceAll(requestId, "");
  const sent = JSON.stringify(request).match(SECRETS) ?? [];
  if (sent.some((secret) => others.includes(secret))) return "a value of the request is repeated";
  return INSIDES.test(text) ? "insides are shown" : null;
}

function faultOfUnknown({ status, headers, text }: FuzzAnswer): string | null {
  if (status !== 404 && status !== 405) return "a path that nobody has is answered";
  return headers["content-type"] === PROBLEM && text !== "" ? null : "the refusal is no problem";
}

type ValidatorOf = (
  described: Described,
  status: number,
  type: string,
) => ValidateFunction | "any" | undefined;

const JSON_TYPE = "application/json";

function faultOfDescribed(
  validatorOf: ValidatorOf,
  described: Described,
  request: FuzzRequest,
  answer: FuzzAnswer,
): string | null {
  const { status, headers, text } = answer;
  // Nothing changed since the caller's copy: it has no body to describe.
  if (status === 304 && request.headers["if-none-match"] !== undefined) return null;
  if (!(status in described.operation.responses)) return `${status} is not documented for ${described.title}`;
  const type = headers["content-type"]?.split(";")[0] ?? "";
  const validator = validatorOf(described, status, type);
  if (!validator) return `${status} as ${type || "nothing"} is not documented for ${described.title}`;
  if (status >= 400 && type !== PROBLEM) return "the refusal is no problem";
  if (status < 400 && !isAsked(described, status, request.headers.accept, type))
    return `${type} is answered, and ${request.headers.accept} was asked for`;
  if (validator === "any") {
    const rows = validatorOf(described, status, JSON_TYPE);
    const isRow = (row: unknown) => typeof rows !== "function" || rows({ rows: [row], count: 1 });
    return faultOfForm(type, request, answer, isRow);
  }
  const body = parsed(text);
  if (!validator(body))
    return `the body is not as documented: ${JSON.stringify(validator.errors?.slice(0, 3))}`;
  return status < 400 ? null : faultOfProblem(described, request, answer, body as ProblemBody);
}

/** Who asks for one of the forms that are documented gets that one. */
function isAsked(
  { operation }: Described,
  status: number,
  accept: string | undefined,
  type: string,
): boolean {
  const forms = operation.responses[String(status)]?.content ?? {};
  return accept === undefined || !Object.hasOwn(forms, accept) || accept === type;
}

function parsed(text: string): unknown {
  try {
    // A mark of byte order in front is no part of the text (RFC 8259).
    return JSON.parse(text.replace(/^\ufeff/, ""));
  } catch {
    return undefined;
  }
}

function faultOfProblem(
  described: Described,
  request: FuzzRequest,
  { status, headers }: FuzzAnswer,
  problem: ProblemBody,
): string | null {
  if (problem.status !== status) return "the problem has another status than the answer";
  if (problem.request_id !== headers["x-request-id"])
    return "the problem has another request id than the answer";
  if (status === 401 && !headers["www-authenticate"]) return "a 401 without www-authenticate";
  if ((status === 429 || status === 503) && !headers["retry-after"]) return `a ${status} without retry-after`;
  const lost = problem.errors?.find(({ loc }) => !isPlace(described, request, loc));
  return lost ? `${JSON.stringify(lost.loc)} is no place of the request` : null;
}

/** Whether a place is in the request, or is what is missing in something that is there. */
function isPlace({ operation }: Described, { path, body }: FuzzRequest, loc: (string | number)[]): boolean {
  const [part, ...steps] = loc;
  if (part === "body") return body !== null && isInside(parsed(body), steps);
  if (part !== "path" && part !== "query" && part !== "header") return false;
  const [name] = steps;
  if (part === "query" && new URLSearchParams(path.split("?")[1]).has(String(name))) return true;
  const same = (each: string) => each.toLowerCase() === String(name).toLowerCase();
  return operation.parameters?.some((each) => each.in === part && same(each.name)) ?? false;
}

function isInside(value: unknown, [step, ...more]: (string | number)[]): boolean {
  if (step === undefined) return true;
  if (typeof value !== "object" || value === null) return false;
  // Names are cut to the length that one may have.
  const key = Object.keys(value).find(
    (name) => name === String(step) || firstCharacters(name, 512) === String(step),
  );
  if (key === undefined) return more.length === 0;
  return isInside((value as Record<string, unknown>)[key], more);
}

function validators(document: OpenApi): ValidatorOf {
  const ajv = new Ajv2020({ strict: false, allErrors: false, logger: false });
  addFormats.default(ajv);
  ajv.addSchema(closed(document) as object, "document");
  return ({ operation, method, path }, status, type) => {
    const content = operation.responses[String(status)]?.content ?? {};
    const declared = type in content ? type : "*/*" in content ? "*/*" : undefined;
    if (declared === undefined) return undefined;
    if (!content[declared]?.schema) return "any";
    const steps = [
      "paths",
      path,
      method.toLowerCase(),
      "responses",
      String(status),
      "content",
      declared,
      "schema",
    ];
    const pointer = steps.map((step) => encodeURIComponent(step.replaceAll("~", "~0").replaceAll("/", "~1")));
    return ajv.getSchema(`document#/${pointer.join("/")}`);
  };
}

/** The document with every object closed that lists its properties: what it does not name may not be answered. */
function closed(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(closed);
  if (typeof part !== "object" || part === null) return part;
  const inner = Object.fromEntries(Object.entries(part).map(([name, value]) => [name, closed(value)]));
  const isOpen = inner.type === "object" && inner.properties && inner.additionalProperties === undefined;
  return isOpen ? { ...inner, additionalProperties: false } : inner;
}
