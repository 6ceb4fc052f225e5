/** The OpenAPI document is what the service does: nothing more, nothing less; and its pages need nobody else. */
import { beforeAll, describe, expect, test } from "vitest";
import { app, endpoints } from "../../worker/app.ts";
import { MAX_INLINE_ENTITIES } from "../../worker/limits.ts";
import { changed } from "../setup/hostile.ts";
import {
  type Answer,
  ask,
  entry,
  get,
  itemsBody,
  post,
  readDocument,
  remove,
  secondsAgo,
  upsert,
  WRITER,
} from "../setup/http.ts";
import {
  type Content,
  concretePath,
  exampleBody,
  exampleOf,
  type OpenApi,
  operationsOf,
  optionalPlacesOf,
  type Place,
  presentOf,
  resolve,
  type Schema,
} from "../setup/openapi.ts";
import { until } from "../setup/waiting.ts";

const document = await readDocument();
const operations = operationsOf(document);
const titled = operations.map((each) => [each.title, each] as const);

/** `/get/:id` → `/get/{id}`. */
const templateOf = (path: string) => path.replaceAll(/:(\w+)(\{[^}]*\})?\??/g, "{$1}");

describe("the document and the routes", () => {
  const routes = new Set(
    app.routes
      .filter(({ method, path }) => !(method === "ALL" && path === "/*"))
      .map(({ method, path }) => `${method} ${templateOf(path)}`),
  );
  const described = new Set(operations.map(({ title }) => title));

  test("every route of the app is described", () => {
    expect([...routes].filter((route) => !described.has(route))).toEqual([]);
    expect(routes.size).toBeGreaterThan(10);
  });

  test("everything that is described is a route of the app", () => {
    expect([...described].filter((title) => !routes.has(title))).toEqual([]);
  });

  test("the routes of system A are there, on the paths of its documents", () => {
    for (const title of [
      "GET /api/v1/health",
      "GET /api/v1/get/item/{entity_value}/{category}",
      "POST /api/v1/get/items",
      "POST /api/v1/items",
      "POST /api/v1/items/batch",
      "POST /api/v1/get/item/{entity_value}",
      "POST /api/v1/items/{entity_value}",
      "DELETE /api/v1/entities/{entity_type}/{entity_value}",
      "DELETE /api/v1/entities/{entity_type}/{entity_value}/{category}",
      "GET /health",
      "GET /ready",
      "GET /docs",
      "GET /redoc",
      "GET /openapi.json",
    ]) {
      expect(described).toContain(title);
    }
  });
});

describe("the document", () => {
  test("is OpenAPI 3.1", () => {
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
  });

  test("every reference in it points to something in it", () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)].map(([, to]) => to ?? "");
    expect(references.length).toBeGreaterThan(0);
    for (const $ref of references) expect(resolve(document, { $ref }), $ref).toBeDefined();
  });

  test("no two operations share an id", () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(ids).not.toContain(undefined);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test.each(titled)("%s has a summary and a tag, and says what each answer is", (_, { operation }) => {
    expect(operation.summary).toMatch(/\S/);
    expect(operation.tags?.length).toBeGreaterThan(0);
    for (const [status, { description }] of Object.entries(operation.responses)) {
      expect(description, status).toMatch(/\S/);
    }
  });

  test.each(titled)("%s names every problem that it can answer", (_, { operation }) => {
    const statuses = Object.keys(operation.responses);
    const isGuarded = operation.security?.length !== 0;
    const expected = [
      ...(isGuarded ? ["401", "403", "503"] : []),
      ...(operation.requestBody ? ["400", "413", "415", "422"] : []),
      ...(operation.parameters?.length ? ["422"] : []),
    ];
    expect(statuses).toEqual(expect.arrayContaining(expected));
    expect(statuses.some((status) => status.startsWith("2"))).toBe(true);
    for (const [status, { content }] of Object.entries(operation.responses)) {
      // A 503 may be an answer of the operation's own, such as that of the health check.
      if (!/^[45]/.test(status) || (status === "503" && content?.["application/json"])) continue;
      const schema = content?.["application/problem+json"]?.schema;
      const problem = schema && resolve(document, schema);
      expect(Object.keys(problem?.properties ?? {}), status).toEqual(
        expect.arrayContaining(["type", "title", "status", "detail", "request_id", "errors"]),
      );
    }
  });

  test.each(titled)("%s declares the parameters of its path, and no others", (_, { path, operation }) => {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const declared = operation.parameters?.filter((parameter) => parameter.in === "path") ?? [];
    expect(declared.map(({ name }) => name).toSorted()).toEqual(inPath.toSorted());
    for (const { name, required } of declared) expect(required, name).toBe(true);
  });

  test("a key is asked for in the schemes that the document defines", () => {
    const schemes = Object.keys(document.components?.securitySchemes ?? {});
    expect(schemes.length).toBeGreaterThan(0);
    for (const { title, operation } of operations) {
      expect(operation.security, title).toBeDefined();
      for (const name of operation.security?.flatMap(Object.keys) ?? [])
        expect(schemes, title).toContain(name);
    }
  });

  /** Whether a reader sees what a value looks like: an example, or all the values that there are. */
  function shows(given: Schema | undefined, depth = 0): boolean {
    const schema = given && resolve(document, given);
    if (!schema || depth > 20) return false;
    if ([schema.example, schema.examples, schema.enum, schema.const].some((part) => part !== undefined))
      return true;
    const { properties = {}, items, additionalProperties, anyOf = [], oneOf = [], allOf = [] } = schema;
    const parts = [...Object.values(properties), ...anyOf, ...oneOf, ...allOf];
    if (items) parts.push(items);
    if (typeof additionalProperties === "object") parts.push(additionalProperties);
    return schema.type === "boolean" || parts.some((part) => shows(part, depth + 1));
  }
  const isShown = ({ example, examples, schema }: Content) =>
    example !== undefined || examples !== undefined || shows(schema);

  const withoutExample = [
    // The document does not describe itself: its own form is OpenAPI's.
    "GET /openapi.json",
  ];
  test.each(titled.filter(([title]) => !withoutExample.includes(title)))(
    "%s shows what it takes and answers",
    (_, { operation }) => {
      for (const [type, content] of Object.entries(operation.requestBody?.content ?? {})) {
        expect(isShown(content), `request body ${type}`).toBe(true);
      }
      for (const [status, { content = {} }] of Object.entries(operation.responses)) {
        const json = content["application/json"];
        if (json && status.startsWith("2")) expect(isShown(json), status).toBe(true);
      }
    },
  );

  test.each(
    endpoints
      .filter(({ spec }) => spec.request.json)
      .map((each) => [`${each.spec.method} ${each.spec.path}`, each] as const),
  )("%s: its example of a body fits its schema", (_, { spec }) => {
    const described = operations.find(({ title }) => title === `${spec.method.toUpperCase()} ${spec.path}`);
    const body = described && exampleBody(document, described);
    expect(spec.request.json?.().safeParse(body)).toMatchObject({ success: true });
  });

  // There is no version null; who may not write is told so, with 403, also when the source is null.
  const notNull = ["version", "source"];
  test.each(
    operations.filter(({ operation }) => operation.requestBody).map((each) => [each.title, each] as const),
  )("%s: what may be left out of its body may be null, and the document says so", (title, described) => {
    const schema = described.operation.requestBody?.content["application/json"]?.schema ?? {};
    const { spec } =
      endpoints.find((each) => title === `${each.spec.method.toUpperCase()} ${each.spec.path}`) ?? {};
    const body = exampleBody(document, described);
    const places = optionalPlacesOf(document, schema, body).filter(
      (at) => !notNull.includes(String(at.at(-1))),
    );
    for (const at of places) {
      const asked = JSON.parse(changed(body, at, "null"));
      expect(spec?.request.json?.().safeParse(asked).error?.issues ?? [], at.join(".")).toEqual([]);
      expect(takesNull(schema, at), `${at.join(".")} in the document`).toBe(true);
    }
  });

  function takesNull(given: Schema, [step, ...more]: Place): boolean {
    const { properties = {}, items } = presentOf(document, given);
    if (step !== undefined)
      return takesNull((typeof step === "number" ? items : properties[step]) ?? {}, more);
    const { type, anyOf } = resolve(document, given) ?? {};
    return (type ?? anyOf) === undefined || [type, anyOf?.map((part) => part.type)].flat(2).includes("null");
  }
});

describe("answers", () => {
  const user = itemsBody("user-123", [
    entry("user_features", { age: 30, income: 60000, city: "SF" }, { compute_id: "compute-123" }),
    entry("transaction_features", { total_transactions: 150 }),
    entry("trans_features", { avg_credit_30d: 150.5, num_transactions: 25 }),
  ]);
  const late = { event_timestamp: secondsAgo(60) };
  const list = [entry("c", { a: 1 })];

  const columns = { user_id: "string", amount: "float", at: "timestamp" };
  const table = (name: string) => ({ name, description: "Of a test.", schema_definition: columns });
  const rows = (count: number) =>
    Array.from({ length: count }, (_, i) => ({
      user_id: `user_${i}`,
      amount: i,
      at: "2025-10-13T09:15:51Z",
    }));
  const computation_logic = "SELECT user_id, avg(amount) AS mean FROM data GROUP BY user_id";

  async function newTable(name: string, options = {}): Promise<number> {
    const { status, body, text } = await post<{ id: number }>("/raw-tables", { ...table(name), ...options });
    expect(status, text).toBe(201);
    return body.id;
  }

  /** A computed feature with an active version and three ingested rows. */
  async function newComputed(name: string): Promise<number> {
    const raw_table_id = await newTable(name);
    expect((await post("/ingest", { raw_table_id, data: rows(3) })).status).toBe(200);
    const feature = { name, raw_table_id, computation_logic, entity_key: "user_id" };
    const { status, body, text } = await post<{ feature_id: number }>("/features", feature);
    expect(status, text).toBe(201);
    const version = { version: "v1", status: "active" };
    const added = await post(`/features/${body.feature_id}/versions`, version);
    expect(added.status, added.text).toBe(201);
    return body.feature_id;
  }

  async function newTrainingSet(): Promise<string> {
    const body = { entity_ids: ["docs-1"], timestamp: secondsAgo(0), feature_names: ["c:a"] };
    const { body: set, text } = await post<{ training_set_id: string }>("/training-sets", body);
    const path = `/training-sets/${set.training_set_id}`;
    await until(
      `${text} is done`,
      async () => (await get<{ status: string }>(path)).body.status === "done",
      30_000,
    );
    return path;
  }

  async function newSubscription(more: Record<string, unknown> = {}): Promise<string> {
    // Nobody listens there, and no event is of that category.
    const subscription = { url: "http://127.0.0.1:9/", categories: ["none"], ...more };
    const { status, body, text } = await post<{ subscription_id: string }>("/subscriptions", subscription);
    expect(status, text).toBe(201);
    return `/subscriptions/${body.subscription_id}`;
  }

  /** Requests whose answers are of every form that the operation has. One that is not here is asked by its examples. */
  const scenarios: Record<string, () => Promise<Answer<unknown>[]>> = {
    "GET /api/v1/get/item/{entity_value}/{category}": async () => [
      await get("/get/item/user-123/user_features"),
      await get("/get/item/user-123/transaction_features"),
      await get("/get/item/account-1/c?entity_type=account_id"),
    ],
    "POST /api/v1/get/items": async () => [
      await post("/get/items", { data: { entity_value: "user-123", feature_list: ["user_features:age"] } }),
      await post("/get/items", {
        meta: { source: "api" },
        data: {
          entity_value: "user-123",
          feature_list: ["user_features:x", "transaction_features:*", "gone:*"],
        },
      }),
    ],
    "POST /api/v1/items": async () => [
      await upsert("docs-1", list),
      await upsert("docs-1", [entry("c", { a: 0 }, late)]),
      await upsert("docs-2", [entry("c", { a: 0 }, late)]),
      await upsert("docs-2", [entry("c", { a: 0 }, late)]),
    ],
    "POST /api/v1/items/batch": async () => [
      await post("/items/batch", {
        metadata: WRITER,
        data: [
          itemsBody("docs-3", list).data,
          itemsBody("docs-3", list, { data: { if_revision: 9 } }).data,
          itemsBody("docs-3", list, { data: { entity_type: "martian" } }).data,
          itemsBody("docs-3", [entry("c", { a: 0 }, late)]).data,
        ],
      }),
    ],
    "POST /api/v1/features/online": async () => {
      const feature_names = ["user_features:age", "user_features:gone", "gone:x"];
      return [
        await post("/features/online", { entity_id: "user-123", feature_names }),
        await post("/features/online", { entity_ids: ["user-123", "nobody"], feature_names }),
        await post("/features/online", { entity_id: "user-123", feature_names, max_age_seconds: 0 }),
        await post("/features/online", { entity_id: "nobody", feature_names: ["user_lifetime_value"] }),
      ];
    },
    "POST /api/v1/features/batch": async () => {
      const feature_names = ["user_features:age", "user_features:gone"];
      const timestamp = secondsAgo(-60);
      return [
        await post("/features/batch", { entity_ids: ["user-123", "nobody"], feature_names, timestamp }),
        await post("/features/batch", { rows: [{ entity_id: "user-123", timestamp }], feature_names }),
      ];
    },
    "POST /api/v1/features/register": async () => {
      const feature = {
        name: "docs_feature",
        dtype: "int64",
        entity_type: "user",
        version: "v1",
        ttl_hours: 0.5,
      };
      const first = await post("/features/register", feature);
      expect(first.status).toBe(201);
      return [first, await post("/features/register", feature)];
    },
    "POST /api/v1/features/{feature}/versions": async () => {
      const version = { version: "v7", dtype: "string", status: "draft" };
      const first = await post("/features/user_lifetime_value/versions", version);
      expect(first.status).toBe(201);
      return [first, await post("/features/user_lifetime_value/versions", version)];
    },
    "PATCH /api/v1/features/{feature}/versions/{version}": async () => [
      await ask("PATCH", "/features/user_lifetime_value/versions/v1", { body: { status: "active" } }),
    ],
    "GET /api/v1/features/{feature}/stats": async () => {
      const path = `/features/${await newComputed("docs_stats")}`;
      expect((await post(`${path}/compute`, rows(3))).status).toBe(200);
      const hoursOf = async () => (await get<{ hours: unknown[] }>(`${path}/stats`)).body.hours;
      await until("its vectors are counted", async () => (await hoursOf()).length > 0);
      return [await get("/features/user_lifetime_value/stats?hours=48"), await get(`${path}/stats`)];
    },
    "POST /api/v1/raw-tables": async () => [
      await post("/raw-tables", table("docs_table")),
      await post("/raw-tables", table("docs_table")),
      await post("/raw-tables", { ...table("docs_times"), timestamp_column: "at" }),
      await post("/raw-tables", { ...table("docs_kept"), timestamp_column: "at", retention_days: 90 }),
    ],
    "GET /api/v1/raw-tables/{table_id}": async () => [await get(`/raw-tables/${await newTable("docs_get")}`)],
    "PATCH /api/v1/raw-tables/{table_id}": async () => {
      const path = `/raw-tables/${await newTable("docs_patch", { timestamp_column: "at" })}`;
      const change = (retention_days: unknown) => ask("PATCH", path, { body: { retention_days } });
      return [await change(90), await change(null)];
    },
    "DELETE /api/v1/features/{feature}": async () => {
      const feature = { name: "docs_removed", dtype: "int64", entity_type: "user" };
      expect((await post("/features/register", feature)).status).toBe(201);
      return [await remove("/features/docs_removed?force=true")];
    },
    "DELETE /api/v1/raw-tables/{table_id}": async () => [
      await remove(`/raw-tables/${await newTable("docs_drop")}`),
    ],
    "GET /api/v1/raw-tables/{table_id}/rows": async () => {
      const raw_table_id = await newTable("docs_rows");
      expect((await post("/ingest", { raw_table_id, data: rows(3) })).status).toBe(200);
      const path = `/raw-tables/${raw_table_id}/rows`;
      return [await get(`${path}?limit=1`), await get(`${path}?column=user_id&value=user_1`)];
    },
    "DELETE /api/v1/raw-tables/{table_id}/rows": async () => {
      const raw_table_id = await newTable("docs_erased", {
        schema_definition: { user_id: "string", n: "integer" },
      });
      const data = [{ user_id: "user_1", n: 1 }];
      expect((await post("/ingest", { raw_table_id, data })).status).toBe(200);
      const path = `/raw-tables/${raw_table_id}/rows`;
      return [await remove(`${path}?column=user_id&value=user_1`), await remove(`${path}?column=n&value=1`)];
    },
    "POST /api/v1/ingest": async () => {
      const raw_table_id = await newTable("docs_ingest");
      return [await post("/ingest", { raw_table_id, data: rows(3) })];
    },
    "POST /api/v1/features": async () => {
      const raw_table_id = await newTable("docs_create");
      const feature = { name: "docs_created", raw_table_id, computation_logic, entity_key: "user_id" };
      const [created, again] = [await post("/features", feature), await post("/features", feature)];
      expect([created.status, again.status]).toEqual([201, 200]);
      return [created, again];
    },
    "POST /api/v1/features/{feature}/compute": async () => {
      const feature = await newComputed("docs_compute");
      return [
        await post(`/features/${feature}/compute?version=v1`, rows(3)),
        await ask("POST", `/features/${feature}/compute`),
        await post(`/features/${feature}/compute`, rows(MAX_INLINE_ENTITIES + 1)),
      ];
    },
    "GET /api/v1/jobs/{job_id}": async () => {
      const feature = await newComputed("docs_job");
      const path = `/features/${feature}/compute`;
      const { status, body } = await post<{ job_id: string }>(path, rows(MAX_INLINE_ENTITIES + 1));
      expect(status).toBe(202);
      return [await get(`/jobs/${body.job_id}`)];
    },
    "GET /api/v1/feature-vectors": async () => {
      const feature = await newComputed("docs_vectors");
      expect((await post(`/features/${feature}/compute`, rows(3))).status).toBe(200);
      return [await get("/feature-vectors?entity_id=user_1&feature_name=docs_vectors")];
    },
    "PATCH /api/v1/admin/tenants/{tenant_id}": async () => {
      expect((await post("/admin/tenants", { name: "docs suspended" })).status).toBe(201);
      const change = (status: string) => ask("PATCH", "/admin/tenants/docs-suspended", { body: { status } });
      return [await change("suspended"), await change("active")];
    },
    "GET /api/v1/admin/tenants/{tenant_id}": async () => [await get("/admin/tenants/default")],
    "DELETE /api/v1/admin/tenants/{tenant_id}": async () => {
      expect((await post("/admin/tenants", { name: "Docs gone" })).status).toBe(201);
      const path = "/admin/tenants/docs-gone";
      expect((await ask("PATCH", path, { body: { status: "suspended" } })).status).toBe(200);
      return [await remove(`${path}?name=Docs%20gone`)];
    },
    "DELETE /api/v1/admin/tenants/{tenant_id}/keys/{key_id}": async () => {
      const made = await post<{ key_id: string }>("/admin/tenants/default/keys", {
        name: "docs",
        scopes: ["read"],
      });
      return [await remove(`/admin/tenants/default/keys/${made.body.key_id}`)];
    },
    "POST /api/v1/training-sets": async () => {
      const rows = [{ entity_id: "user-123", timestamp: secondsAgo(-60) }];
      return [await post("/training-sets", { rows, feature_names: ["user_features:age"] })];
    },
    "GET /api/v1/training-sets/{training_set_id}": async () => [await get(await newTrainingSet())],
    "GET /api/v1/training-sets/{training_set_id}/files/{file}": async () => [
      await get(`${await newTrainingSet()}/files/0`),
    ],
    "DELETE /api/v1/training-sets/{training_set_id}": async () => [await remove(await newTrainingSet())],
    "POST /api/v1/subscriptions": async () => [
      await post("/subscriptions", { url: "http://127.0.0.1:9/", categories: ["none"] }),
      await post("/subscriptions", { url: "http://127.0.0.1:9/", kind: "kafka-rest", categories: ["none"] }),
      await post("/subscriptions", {
        url: "http://127.0.0.1:9/",
        authorization: "Bearer a",
        categories: ["none"],
      }),
    ],
    "GET /api/v1/subscriptions/{subscription_id}": async () => {
      const path = await newSubscription();
      const active = await get(path);
      expect((await ask("PATCH", path, { body: { status: "paused" } })).status).toBe(200);
      return [active, await get(path)];
    },
    "PATCH /api/v1/subscriptions/{subscription_id}": async () => [
      await ask("PATCH", await newSubscription(), { body: { status: "paused", features: ["a"] } }),
      await ask("PATCH", await newSubscription(), { body: { authorization: "Bearer a" } }),
    ],
    "DELETE /api/v1/subscriptions/{subscription_id}": async () => [await remove(await newSubscription())],
    "POST /api/v1/subscriptions/{subscription_id}/test": async () => [
      await ask("POST", `${await newSubscription()}/test`),
    ],
    "GET /api/v1/subscriptions/{subscription_id}/deliveries": async () => {
      const path = await newSubscription({ categories: ["subscribed"] });
      await upsert("docs-6", [entry("subscribed", { a: 1 })]);
      const attempts = async () =>
        (await get<{ deliveries: { attempts: number }[] }>(`${path}/deliveries`)).body.deliveries[0]
          ?.attempts ?? 0;
      // It fails, and is tried again: how often by the time that it is looked at is no matter.
      await until("it was tried", async () => (await attempts()) > 0, 30_000);
      return [await get(`${path}/deliveries`), await get(`${path}/deliveries?status=dead&limit=1`)];
    },
    "POST /api/v1/subscriptions/{subscription_id}/replay": async () => {
      const path = `${await newSubscription()}/replay`;
      return [
        await post(path, { delivery_ids: ["1"] }),
        await post(path, { from: secondsAgo(60), to: secondsAgo(0) }),
      ];
    },
    "DELETE /api/v1/entities/{entity_type}/{entity_value}": async () => {
      await upsert("docs-4", list);
      return [await remove("/entities/bright_uid/docs-4")];
    },
    "DELETE /api/v1/entities/{entity_type}/{entity_value}/{category}": async () => {
      await upsert("docs-5", list);
      return [await remove("/entities/bright_uid/docs-5/c")];
    },
  };

  beforeAll(async () => {
    expect((await post("/items", user)).status).toBe(200);
    expect((await upsert("account-1", list, { data: { entity_type: "account_id" } })).status).toBe(200);
    const registration = operations.find(({ title }) => title === "POST /api/v1/features/register");
    // Further answers are about the feature of the document's own example.
    const registered =
      registration && (await post("/features/register", exampleBody(document, registration)));
    expect(registered?.status, registered?.text).toBe(201);
  });

  const paths = endpoints.flatMap(({ spec }) =>
    [spec.path, ...(spec.aliases ?? [])].map(
      (path) => [`${spec.method.toUpperCase()} ${path}`, spec] as const,
    ),
  );

  test("every scenario is one of a described operation", () => {
    expect(Object.keys(scenarios).filter((title) => !paths.some(([known]) => known === title))).toEqual([]);
  });

  test.each(paths)(
    "%s answers in the form that is described, with no field that is not",
    async (title, spec) => {
      const described = operations.find((each) => each.title === title);
      expect(described).toBeDefined();
      if (!described) return;
      const body = spec.request.json && exampleBody(document, described);
      const asked = () =>
        ask(described.method, `/${concretePath(document, described)}`, body === undefined ? {} : { body });
      const answers = (await scenarios[title]?.()) ?? [await asked()];
      for (const { status, headers, text, body: answered } of answers) {
        // Not so for an operation whose examples name nothing that exists: give it a scenario above.
        expect(status, text.slice(0, 300)).toBeLessThan(300);
        expect(Object.keys(described.operation.responses)).toContain(String(status));
        if (status === 204) continue;
        const { schema, contentType = "application/json" } = spec.answers[status] ?? {};
        const type = headers.get("content-type")?.split(";")[0];
        expect(type).toBe(contentType === "*/*" ? "text/javascript" : contentType);
        if (!schema) continue;
        const parsed = schema().safeParse(answered);
        expect(parsed.error?.issues ?? [], text.slice(0, 300)).toEqual([]);
        // What the schema does not know falls away when it parses.
        expect(parsed.data).toEqual(answered);
      }
    },
  );

  test("the examples of the answers are themselves of the form that is described", () => {
    for (const [title, spec] of paths) {
      const responses = operations.find((each) => each.title === title)?.operation.responses ?? {};
      for (const [status, { content }] of Object.entries(responses)) {
        const described = content?.["application/json"]?.schema;
        const schema = spec.answers[Number(status)]?.schema;
        if (!described || !schema) continue;
        expect(
          schema().safeParse(exampleOf(document, described)).error?.issues ?? [],
          `${title} ${status}`,
        ).toEqual([]);
      }
    }
  });
});

describe.each(["/docs", "/redoc"])("the page %s", (page) => {
  interface Referenced {
    html: string;
    attributes: string[];
    scripts: string;
  }

  async function read(): Promise<Referenced> {
    const { status, headers, text } = await get(`/${page}`);
    expect(status).toBe(200);
    expect(headers.get("content-type")).toMatch(/^text\/html/);
    const attributes: string[] = [];
    let scripts = "";
    const rewritten = new HTMLRewriter()
      .on("*", {
        element(element) {
          for (const name of ["src", "href", "spec-url", "action", "data", "srcset", "poster"]) {
            const value = element.getAttribute(name);
            if (value !== null) attributes.push(value);
          }
        },
      })
      .on("script", {
        text(chunk) {
          scripts += chunk.text;
        },
      })
      .transform(new Response(text));
    await rewritten.text();
    return { html: text, attributes, scripts };
  }

  test("refers to nothing but what this service serves", async () => {
    const { html, attributes, scripts } = await read();
    expect(attributes.length).toBeGreaterThan(1);
    for (const value of attributes) expect(value).toMatch(/^\/(?!\/)/);
    expect(scripts).not.toMatch(/https?:|["'`]\/\//);
    expect(html).not.toMatch(/@import|url\(/);
    expect(html).toContain("/openapi.json");
  });

  test("everything that it refers to is there", async () => {
    const { attributes } = await read();
    for (const path of attributes) {
      const { status, headers, text } = await get(`/${path}`);
      expect(status, path).toBe(200);
      expect(text.length, path).toBeGreaterThan(100);
      const type = headers.get("content-type");
      if (path.endsWith(".js")) expect(type, path).toMatch(/javascript/);
      if (path.endsWith(".css")) expect(type, path).toMatch(/^text\/css/);
      if (path.endsWith(".png")) expect(type, path).toBe("image/png");
    }
  });

  test("lets the browser load nothing from elsewhere", async () => {
    const { headers } = await get(`/${page}`);
    const policy = headers.get("content-security-policy") ?? "";
    expect(policy).toMatch(/default-src '(none|self)'/);
    expect(policy).not.toMatch(/https?:|(^|[\s;])\*/);
  });
});

test("a file of the pages that is not there is a 404 like any other", async () => {
  const { status, headers } = await get("//docs/nothing.js");
  expect(status).toBe(404);
  expect(headers.get("content-type")).toBe("application/problem+json");
});

test("the document is the same each time", async () => {
  const again: OpenApi = await readDocument();
  expect(again).toEqual(document);
});
