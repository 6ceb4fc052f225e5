/** The document against the schema that the OpenAPI Initiative publishes; its validator needs Node. */
import { Validator } from "@seriousme/openapi-schema-validator";
import { expect, test } from "vitest";
import { endpoints } from "../../worker/app.ts";
import { openApiDocument } from "../../worker/docs/openapi.ts";
import { docsEndpoints } from "../../worker/docs/routes.ts";

type Document = Record<string, unknown>;

const document = (): Document => {
  const all = [...endpoints, ...docsEndpoints(endpoints)];
  // As it goes out: what is undefined in it falls away.
  return JSON.parse(JSON.stringify(openApiDocument(all, "0.0.0"))) as Document;
};

const validate = async (candidate: Document) => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(candidate);
  return { valid, errors, version: validator.version };
};

test("it is valid OpenAPI 3.1", async () => {
  expect(await validate(document())).toEqual({ valid: true, errors: undefined, version: "3.1" });
});

test.each<[string, (candidate: Document) => void]>([
  [
    "an answer without a description",
    ({ paths }) => {
      Object.assign(paths as Document, { "/x": { get: { responses: { 200: {} } } } });
    },
  ],
  [
    "a parameter of an unknown place",
    ({ paths }) => {
      Object.assign(paths as Document, { "/x": { parameters: [{ name: "x", in: "body", schema: {} }] } });
    },
  ],
  [
    "no title",
    ({ info }) => {
      Object.assign(info as Document, { title: undefined });
    },
  ],
])("the validator finds %s", async (_, spoil) => {
  const spoiled = document();
  spoil(spoiled);
  expect((await validate(spoiled)).valid).toBe(false);
});

test("when to come again is a header of the problems that say so", () => {
  const { paths } = document() as {
    paths: Record<string, { get: { responses: Record<string, { headers?: Record<string, unknown> }> } }>;
  };
  const { responses } = paths["/api/v1/features"]?.get ?? { responses: {} };
  const headersOf = (status: number) => Object.keys(responses[status]?.headers ?? {});
  expect(headersOf(503)).toEqual(["x-request-id", "retry-after"]);
  expect(headersOf(429)).toEqual(["x-request-id", "retry-after"]);
  expect(headersOf(401)).toEqual(["x-request-id", "www-authenticate"]);
  expect(headersOf(404)).toEqual([]);
  expect(headersOf(422)).toEqual(["x-request-id"]);
});

test("an item has its entity under the name of any type", () => {
  const { components } = document() as { components: { schemas: Record<string, unknown> } };
  expect(components.schemas.Item).toMatchObject({
    properties: { bright_uid: { type: "string" } },
    additionalProperties: { type: "string" },
  });
});

test("what a row was erased by may be an integer beyond 2^53", () => {
  const { components } = document() as {
    components: { schemas: Record<string, { properties: Record<string, unknown> }> };
  };
  expect(components.schemas.RawRowsErased?.properties.value).toEqual({
    type: ["integer", "string"],
    example: "user_001",
  });
});

test("fields and parameters that are there only to be refused are not described", () => {
  const { paths } = document() as {
    paths: Record<string, { post?: { requestBody?: unknown; parameters?: { name: string }[] } }>;
  };
  const short = paths["/api/v1/items/{entity_value}"]?.post?.parameters?.map(({ name }) => name);
  expect(short).toEqual(["entity_value", "entity_type", "table_type", "Idempotency-Key"]);
  const written = JSON.stringify(paths["/api/v1/items"]?.post?.requestBody);
  expect(written).toContain('"entity_value"');
  expect(written).not.toMatch(/"table_type"|"event_time"|"ttl"|"not"/);
});

/** What changes nothing, or the same however often it is sent. */
const REPEATABLE = {
  "POST /api/v1/get/items": "reads",
  "POST /api/v1/get/item/{entity_value}": "reads",
  "POST /api/v1/features/online": "reads",
  "POST /api/v1/features/batch": "reads",
  "POST /api/v1/features/register": "registers",
  "POST /api/v1/features": "registers",
  "POST /api/v1/features/{feature}/versions": "registers",
  "POST /api/v1/raw-tables": "registers",
  "POST /api/v1/raw-tables/{table_id}/columns": "registers",
  "PATCH /api/v1/features/{feature}": "sets",
  "PATCH /api/v1/features/{feature}/versions/{version}": "sets",
  "PATCH /api/v1/raw-tables/{table_id}": "sets",
  "PATCH /api/v1/subscriptions/{subscription_id}": "sets",
  "PATCH /api/v1/admin/tenants/{tenant_id}": "sets",
  "DELETE /api/v1/features/{feature}": "deletes",
  "DELETE /api/v1/raw-tables/{table_id}": "deletes",
  "DELETE /api/v1/raw-tables/{table_id}/rows": "deletes",
  "DELETE /api/v1/training-sets/{training_set_id}": "deletes",
  "DELETE /api/v1/subscriptions/{subscription_id}": "deletes",
  "DELETE /api/v1/admin/tenants/{tenant_id}": "deletes",
  "DELETE /api/v1/admin/tenants/{tenant_id}/keys/{key_id}": "deletes",
  "DELETE /api/v1/cache/invalidate/{entity_id}": "deletes",
  "POST /api/v1/admin/tenants/{tenant_id}/spread": "goes on with the move that is under way",
  "POST /api/v1/subscriptions/{subscription_id}/test": "asks the receiver each time, and keeps nothing",
};

test("whatever creates or starts something takes an Idempotency-Key; what does not may be sent again", () => {
  const changing = endpoints.filter(({ spec }) => spec.method !== "get");
  const without = changing.filter(({ spec }) => !("Idempotency-Key" in (spec.requestHeaders ?? {})));
  const lineOf = ({ spec }: (typeof changing)[number]) => `${spec.method.toUpperCase()} ${spec.path}`;
  expect(without.map(lineOf).toSorted()).toEqual(Object.keys(REPEATABLE).toSorted());
  expect(changing.length - without.length).toBe(12);
});

test("whatever takes an Idempotency-Key says of each of its answers that it may be an earlier one's", () => {
  const { paths } = document() as {
    paths: Record<
      string,
      Record<
        string,
        { parameters?: { name: string }[]; responses: Record<string, { headers?: Record<string, unknown> }> }
      >
    >;
  };
  const answers = Object.entries(paths).flatMap(([path, operations]) =>
    Object.values(operations)
      .filter(({ parameters }) => parameters?.some(({ name }) => name === "Idempotency-Key"))
      .flatMap(({ responses }) => Object.entries(responses))
      .filter(([status]) => status.startsWith("2"))
      .map(([status, { headers = {} }]) => [path, status, "idempotency-replayed" in headers]),
  );
  expect(answers.length).toBeGreaterThan(5);
  expect(answers.filter(([, , isSaid]) => !isSaid)).toEqual([]);
});

test("a page's limit is a whole number, with the range and the default that it has", () => {
  const { paths } = openApiDocument(endpoints, "0.0.0");
  const limit = paths?.["/api/v1/features"]?.get?.parameters?.find(
    (one) => "name" in one && one.name === "limit",
  );
  expect(limit).toMatchObject({ schema: { type: "integer", minimum: 1, maximum: 1_000, default: 100 } });
});
