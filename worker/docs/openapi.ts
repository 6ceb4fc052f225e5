/** The OpenAPI document, made from the endpoints themselves. */
import * as z from "zod";
import type { ProblemStatus } from "../errors.ts";
import type { Endpoint, EndpointSpec } from "../http/endpoint.ts";
import { lazily } from "../lazily.ts";
import { MAX_BODY_BYTES, MAX_ENTITIES_PER_REQUEST } from "../limits.ts";
import { IDEMPOTENCY_HEADER } from "../writing/submit-changes.ts";
import { JsonSchemas } from "./json-schemas.ts";

const problem = lazily(() =>
  z
    .object({
      type: z.string().meta({ example: "about:blank" }),
      title: z.string().meta({ example: "Unprocessable Content" }),
      status: z.int().meta({ example: 422 }),
      detail: z.string().meta({ example: "body.data.entity_value: must not be empty" }),
      request_id: z.string().meta({ example: "5f0c3f0e-7e3c-4d6b-9a39-5a9f1a7c2b11" }),
      errors: z
        .array(
          z.object({
            loc: z.array(z.union([z.string(), z.int()])).meta({ example: ["body", "data", "entity_value"] }),
            msg: z.string().meta({ example: "must not be empty" }),
            type: z.string().meta({ example: "custom" }),
          }),
        )
        .optional(),
    })
    .meta({ id: "Problem", description: "RFC 9457. `errors` names each fault and its place." }),
);

const PROBLEM_WORDS: Record<ProblemStatus, string> = {
  400: "The body is not JSON, or rows do not fit their table.",
  401: "No API key, or one that is not valid.",
  403: "The key's scopes, or the source, do not allow it, or the tenant is suspended.",
  404: "There is no such thing, or it is another tenant's.",
  405: "The path exists for other methods.",
  409: "It conflicts with what is there.",
  413: "The body is too large, or what it holds.",
  415: "The body is not declared as JSON, or is compressed.",
  422: "The request does not fit its schema; `errors` says where.",
  429: "Too many requests; `Retry-After` says when.",
  500: "An unexpected error; the request id finds it in the logs.",
  503: "A store does not answer; `Retry-After` says when to try again.",
};

const PROBLEM_HEADERS: Partial<Record<ProblemStatus, Record<string, string>>> = {
  401: { "www-authenticate": "The scheme of a key: `Bearer`." },
  429: { "retry-after": "Seconds until it may be sent again." },
  503: { "retry-after": "Seconds until it may be sent again; absent where that would not help." },
};

/** Problems that follow from what an endpoint takes. */
function problemsOf(spec: EndpointSpec): ProblemStatus[] {
  const statuses = new Set<ProblemStatus>([500, ...(spec.problems ?? [])]);
  if (spec.scope !== "public") for (const status of [401, 403, 429, 503] as const) statuses.add(status);
  if (spec.request.json) for (const status of [400, 413, 415, 422] as const) statuses.add(status);
  if (spec.request.param || spec.request.query || spec.requestHeaders) statuses.add(422);
  // A status that the endpoint answers itself has its own form.
  return [...statuses].filter((status) => !(status in spec.answers)).sort((a, b) => a - b);
}

function operation(spec: EndpointSpec, schemas: JsonSchemas) {
  const { request, answers } = spec;
  const headers = Object.entries(spec.requestHeaders ?? {}).map(
    ([name, description]) => [name, z.string().optional().meta({ description })] as const,
  );
  const parameters = [
    ...schemas.parameters("path", request.param?.()),
    ...schemas.parameters("query", request.query?.()),
    ...schemas.parameters("header", z.object(Object.fromEntries(headers))),
  ];
  return {
    tags: [spec.tag],
    summary: spec.summary,
    ...(spec.description && { description: spec.description }),
    operationId: `${spec.method}${spec.path.replace("/api/v1", "").replaceAll(/[^\w]+/g, "_")}`.replace(
      /_+$/,
      "",
    ),
    security: spec.scope === "public" ? [] : [{ apiKey: [] }, { bearer: [] }],
    ...(parameters.length > 0 && { parameters }),
    ...(request.json && {
      requestBody: {
        required: !spec.bodyOptional,
        content: { "application/json": { schema: schemas.of(request.json(), "input") } },
      },
    }),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, answer]) => [
          status,
          {
            description: answer.description,
            headers: schemas.headers({ "x-request-id": null, ...answer.headers }),
            content: {
              [answer.contentType ?? "application/json"]: answer.schema
                ? { schema: schemas.of(answer.schema(), "output") }
                : {},
              ...Object.fromEntries((answer.otherContentTypes ?? []).map((type) => [type, {}])),
            },
          },
        ]),
      ),
      ...Object.fromEntries(
        problemsOf(spec).map((status) => [
          String(status),
          {
            description: PROBLEM_WORDS[status],
            headers: schemas.headers({ "x-request-id": null, ...PROBLEM_HEADERS[status] }),
            content: { "application/problem+json": { schema: schemas.of(problem(), "output") } },
          },
        ]),
      ),
    },
  };
}

/** What becomes of a request that is sent again; which operations take the header is to be seen at each of them. */
const REPEATING = `Where an operation takes an \`${IDEMPOTENCY_HEADER}\`, the same key and request within 24 hours happens once: a repetition answers the first response again, with the secrets in it, whatever has become since of what was made, and says so in \`idempotency-replayed\`. A key is one of the tenant, whatever it is sent to; with another request it is 422. All other operations may be sent again as they are: what reads, what registers (registered in the same way it is 200), what sets something, and what deletes (a second time it removes nothing more). Only a subscription's \`/test\` asks its receiver each time.`;

export function openApiDocument(endpoints: readonly Endpoint[], version: string) {
  const schemas = new JsonSchemas();
  const paths: Record<string, Record<string, ReturnType<typeof operation>>> = {};
  for (const { spec } of endpoints) {
    for (const path of [spec.path, ...(spec.aliases ?? [])]) {
      const own = operation(spec, schemas);
      const isAlias = path !== spec.path;
      paths[path] = {
        ...paths[path],
        [spec.method]: isAlias ? { ...own, operationId: `${own.operationId}_alias` } : own,
      };
    }
  }
  const document = {
    openapi: "3.1.1",
    info: {
      title: "Edge feature store",
      version,
      license: { name: "MIT", identifier: "MIT" },
      description: `Features of entities, served from a place near their reader. Timestamps are ISO 8601 with a zone. A body may have ${MAX_BODY_BYTES} bytes, a request ${MAX_ENTITIES_PER_REQUEST} entities or rows.

${REPEATING}`,
    },
    servers: [{ url: "/" }],
    components: {
      schemas: schemas.named,
      securitySchemes: {
        apiKey: { type: "apiKey", in: "header", name: "X-API-Key" },
        bearer: { type: "http", scheme: "bearer" },
      },
    },
    paths,
  };
  return withoutElsewhere(document) as typeof document;
}

/** How a field of `elsewhere` is described: it takes nothing, or null, which says the same as leaving it out. */
const ELSEWHERE = '{"anyOf":[{"not":{}},{"type":"null"}]}';

const isElsewhere = (schema: unknown) => JSON.stringify(schema) === ELSEWHERE;

/** Leaves out the fields and parameters that are there only to be refused: see `elsewhere`. */
function withoutElsewhere(node: unknown): unknown {
  if (Array.isArray(node)) return node.filter((each) => !isElsewhere(each?.schema)).map(withoutElsewhere);
  if (typeof node !== "object" || node === null) return node;
  return Object.fromEntries(
    Object.entries(node)
      .filter(([, value]) => !isElsewhere(value))
      .map(([name, value]) => [name, withoutElsewhere(value)]),
  );
}
