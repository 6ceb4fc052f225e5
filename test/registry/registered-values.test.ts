/** Versions of features, and what registration means for writes and reads. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { MAX_PAST_ENTITY_TYPES } from "../../worker/limits.ts";
import { insertFurtherVersion, insertVersion } from "../../worker/registry/insert-feature.ts";
import { findFeature } from "../../worker/registry/registry-store.ts";
import { removeFeature as removeFromRegistry } from "../../worker/registry/remove-feature.ts";
import { MAX_VERSION } from "../../worker/registry/versions.ts";
import {
  ask,
  type BatchWritten,
  entry,
  expectProblem,
  faultPlaces,
  get,
  itemsBody,
  post,
  readItem,
  remove,
  secondsAgo,
  upsert,
  WRITER,
} from "../setup/http.ts";
import {
  addVersion,
  type Feature,
  freshName,
  online,
  onlineValues,
  type Page,
  register,
  registered,
  removeFeature,
  setStatus,
  write,
} from "./features.ts";

describe("versions", () => {
  test("are added by their own route too, with what is left out as in the newest", async () => {
    const name = freshName("versions");
    const { feature_id } = await registered(name, { ttl_hours: 24, default_value: 1 });
    const second = await addVersion(feature_id, { version: 2, ttl_seconds: 60 });
    expect([second.status, second.body]).toMatchObject([
      201,
      { version: 2, dtype: "float64", ttl_seconds: 60, default_value: 1, status: "draft" },
    ]);
    const third = await addVersion(name, {
      version: "v3",
      dtype: "string",
      default_value: null,
      ttl_seconds: null,
    });
    expect(third.body).toMatchObject({ version: 3, dtype: "string", ttl_seconds: null, default_value: null });
    for (const again of [{ version: 2, ttl_seconds: 60 }, { version: 2 }]) {
      const { status, body } = await addVersion(name, again);
      expect([status, body]).toEqual([200, second.body]);
    }
    expectProblem(await addVersion(name, { version: 2, dtype: "int64" }), 409);
    expectProblem(await addVersion("nobody", { version: 2 }), 404);
    expectProblem(await setStatus(name, 9, "active"), 404);
    expect(faultPlaces(expectProblem(await setStatus(name, "v0", "active"), 422))).toEqual(["path.version"]);
  });

  test.each([
    ["ttl_seconds", 60, /register a new version/],
    ["dtype", "int64", /register a new version/],
    ["description", "other", /PATCH .*name@version/],
    ["version", 1, /path/],
    ["stauts", "misspelt", /not known here/],
  ])("keep their status where %s is to change with it", async (field, value, words) => {
    const name = freshName("kept");
    await registered(name);
    const body = { status: "deprecated", [field]: value };
    const problem = expectProblem(await ask("PATCH", `/features/${name}/versions/1`, { body }), 422);
    expect(faultPlaces(problem)).toEqual([`body.${field}`]);
    expect(problem.errors?.[0]?.msg).toMatch(words);
    expect((await get<Feature>(`/features/${name}`)).body.versions).toMatchObject([{ status: "active" }]);
  });

  test("are filled as drafts, and the bare name is read from the newest active one", async () => {
    const name = freshName("switch");
    await registered(name);
    await addVersion(name, { version: 2, dtype: "string" });
    await write("v-1", { [name]: 1.5, [`${name}@2`]: "new" });
    const asked = [name, `${name}@1`, `${name}@v2`, `${name}@3`];
    const rest = ["1.5 PRESENT 1", '"new" PRESENT 2', "null NOT_FOUND null"];
    expect(await onlineValues("v-1", asked)).toEqual(["1.5 PRESENT 1", ...rest]);
    expect((await setStatus(name, "v2", "active")).body).toMatchObject({ version: 2, status: "active" });
    expect(await onlineValues("v-1", asked)).toEqual(['"new" PRESENT 2', ...rest]);
    await setStatus(name, 2, "deprecated");
    expect(await onlineValues("v-1", asked)).toEqual(["1.5 PRESENT 1", ...rest]);
    await setStatus(name, 1, "deprecated");
    expect(await onlineValues("v-1", asked)).toEqual(["null NOT_FOUND null", ...rest]);
  });
});

describe("a write to a registered feature", () => {
  test("of the wrong type is 422, naming the feature and both types, and nothing of it is kept", async () => {
    const name = freshName("typed");
    await registered(name, { dtype: "int64" });
    const list = [entry("other", { a: 1 }), entry("default", { b: 1, [name]: "many" })];
    const problem = expectProblem(await upsert("t-1", list, { data: { entity_type: "user" } }), 422);
    expect(problem.errors).toEqual([
      {
        loc: ["body", "data", "feature_list", 1, "features", name],
        msg: `feature \`${name}\` is of type int64, found a string that is no whole number`,
        type: "type_mismatch",
      },
    ]);
    const short = expectProblem(await post("/items/t-1?table_type=user", { default: { [name]: 1.5 } }), 422);
    expect(short.errors).toMatchObject([
      { loc: ["body", "default", name], msg: expect.stringContaining("int64") },
    ]);
    expectProblem(await readItem("t-1", "other", "?entity_type=user"), 404);
    // Of the same name, and not the feature: another category, another type.
    expect(
      (await upsert("t-1", [entry("other", { [name]: "x" })], { data: { entity_type: "user" } })).status,
    ).toBe(200);
    expect((await upsert("t-1", [entry("default", { [name]: "x" })])).status).toBe(200);
  });

  test("of a bulk rejects its row alone", async () => {
    const name = freshName("typed");
    await registered(name, { dtype: "timestamp" });
    const row = (user: string, value: unknown, type = "user") => ({
      ...itemsBody(user, [entry("default", { [name]: value })], { data: { entity_type: type } }).data,
    });
    const data = [
      row("b-1", "2025-01-01T00:00Z"),
      row("b-2", "2025-01-01"),
      row("b-3", 1, "martian"),
      row("b-4", null),
    ];
    const { status, body } = await post<BatchWritten>("/items/batch", { metadata: WRITER, data });
    expect(status).toBe(200);
    expect(body.results.map(({ outcome }) => outcome)).toEqual([
      "applied",
      "rejected",
      "rejected",
      "applied",
    ]);
    expect(body.results[1]).toMatchObject({
      revision: null,
      reason: {
        type: "type_mismatch",
        detail: `feature \`${name}\` is of type timestamp, found a string that is no ISO 8601 date and time`,
      },
    });
    expect(await onlineValues("b-1", [name])).toEqual(['"2025-01-01T00:00:00.000000+00:00" PRESENT 1']);
    expect(await onlineValues("b-2", [name])).toEqual(["null NOT_FOUND 1"]);
    expect(await onlineValues("b-4", [name])).toEqual(["null NULL_VALUE 1"]);
  });

  test.each(["9223372036854775807", '"9223372036854775807"', "-9223372036854775808", '"9007199254740993"'])(
    "of int64 %s is exact in every answer",
    async (written) => {
      const name = freshName("exact");
      await registered(name, { dtype: "int64" });
      const features = `{"${name}":${written}}`;
      const body = JSON.stringify(itemsBody("i-1", [entry("default", 0)], { data: { entity_type: "user" } }));
      expect((await post("/items", body.replace('"features":0', `"features":${features}`))).status).toBe(200);
      const exact = written.replaceAll('"', "");
      const item = await readItem("i-1", "default", "?entity_type=user");
      expect(item.text).toContain(`"${name}":${exact}`);
      expect((await online("i-1", [name])).text).toContain(`"${name}":{"value":${exact},`);
      const list = { entity_type: "user", entity_value: "i-1", feature_list: [`default:${name}`] };
      expect((await post("/get/items", { data: list })).text).toContain(`"${name}":${exact}`);
      const past = { entity_ids: ["i-1"], feature_names: [name], timestamp: secondsAgo(-1) };
      expect((await post("/features/batch", past)).text).toContain(`"${name}":{"value":${exact},`);
    },
  );
});

describe("an entity type", () => {
  test("can be written and read once a feature has been registered for it, and not before", async () => {
    const list = [entry("default", { battery: 1 })];
    const data = { entity_type: "device" };
    const refused = expectProblem(await upsert("d-1", list, { data }), 422);
    expect(faultPlaces(refused)).toEqual(["body.data.entity_type"]);
    expectProblem(await readItem("d-1", "default", "?entity_type=device"), 422);
    expectProblem(await online("d-1", ["x"], { entity_type: "device" }), 422);
    await registered("battery", { entity_type: "device" });
    expect((await upsert("d-1", list, { data })).status).toBe(200);
    const { body } = await readItem("d-1", "default", "?entity_type=device");
    expect(body).toMatchObject({ device: "d-1", features: { data: { battery: 1 } } });
    expect((await remove("/entities/device/d-1")).status).toBe(200);
  });
});

describe("a removed feature", () => {
  test("is unknown by its name, and its values stay as values of which nothing is registered", async () => {
    const name = freshName("removed");
    const { feature_id } = await registered(name, { dtype: "int64", ttl_seconds: 60, default_value: 7 });
    await addVersion(name, { version: 2, dtype: "string", default_value: null });
    await write("r-1", { [name]: 1, [`${name}@2`]: "two" }, { event_timestamp: secondsAgo(3_600) });
    expect(await onlineValues("r-1", [name])).toEqual(["null OUTSIDE_MAX_AGE 1"]);
    await setStatus(name, 1, "deprecated");
    const gone = await removeFeature(name);
    expect([gone.status, gone.body]).toEqual([
      200,
      {
        ...{ feature_id, name, entity_type: "user", category: "default", versions: [1, 2] },
        status: "deleted",
      },
    ]);
    for (const reference of [name, `${name}@2`, feature_id]) {
      expectProblem(await get(`/features/${reference}`), 404);
      expectProblem(await removeFeature(reference), 404);
    }
    expectProblem(await get(`/features/${name}/stats`), 404);
    expect((await get<Page>(`/features?q=${name}`)).body.features).toEqual([]);
    expect(await onlineValues("r-1", [name, `${name}@2`])).toEqual([
      "null NOT_FOUND null",
      "null NOT_FOUND null",
    ]);
    const past = { entity_ids: ["r-1"], feature_names: [name], timestamp: secondsAgo(-1) };
    expect((await post("/features/batch", { ...past, entity_type: "user" })).text).toContain(
      `"${name}":{"value":null,"timestamp":null,"status":"NOT_FOUND"}`,
    );
    const { body } = await online("r-1", [`default:${name}`, `default:${name}@2`], { entity_type: "user" });
    expect(Object.values(body.features)).toMatchObject([
      { value: 1, status: "PRESENT", version: null },
      { value: "two", status: "PRESENT", version: null },
    ]);
    // Nor are its types those of what is written.
    expect((await write("r-1", { [name]: "text" })).status).toBe(200);
  });

  test("with an active version stays, unless it is forced; a draft keeps nobody from it", async () => {
    const name = freshName("active");
    const { feature_id } = await registered(name);
    await addVersion(name, { version: 2, status: "active" });
    const before = (await get(`/features/${name}`)).text;
    for (const query of ["", "?force=false"]) {
      const { detail } = expectProblem(await removeFeature(name, query), 409);
      expect(detail).toBe(
        "it has active versions (1, 2): deprecate them first, or remove it with ?force=true",
      );
    }
    expect(faultPlaces(expectProblem(await removeFeature(name, "?force=yes"), 422))).toEqual(["query.force"]);
    expect((await get(`/features/${name}`)).text).toBe(before);
    expect((await removeFeature(feature_id, "?force=true")).body).toMatchObject({ name, versions: [1, 2] });
    const draft = freshName("draft");
    await registered(draft, { status: "draft" });
    expect((await removeFeature(draft)).status).toBe(200);
  });

  test("registered again is another, whose versions but the first have numbers that it had not", async () => {
    const name = freshName("again");
    const { feature_id } = await registered(name);
    await addVersion(name, { version: 3 });
    await write("r-2", { [name]: 1, [`${name}@3`]: 3 });
    await removeFeature(name, "?force=true");
    // Not even as the first.
    const told = /had versions up to 3, .* take one from 4 on/;
    const early = expectProblem(await register(name, { version: 2 }), 409);
    expect([early.errors?.[0]?.loc, early.detail]).toEqual([
      ["body", "version"],
      expect.stringMatching(told),
    ]);
    expectProblem(await get(`/features/${name}`), 404);
    const other = await registered(name, { dtype: "string" });
    expect(other.feature_id).toBeGreaterThan(feature_id);
    // What was written before a feature was registered stays as it is.
    expect(await onlineValues("r-2", [name])).toEqual(["1 PRESENT 1"]);
    for (const version of [2, 3]) {
      expect(expectProblem(await register(name, { version }), 409).detail).toMatch(told);
      expect(expectProblem(await addVersion(name, { version }), 409).detail).toMatch(told);
    }
    expect((await addVersion(name, { version: 4 })).status).toBe(201);
    expect(await onlineValues("r-2", [`${name}@4`])).toEqual(["null NOT_FOUND 4"]);
    // The numbers are remembered through any number of removals.
    await removeFeature(name, "?force=true");
    await registered(name);
    await removeFeature(name, "?force=true");
    await registered(name);
    expect(expectProblem(await addVersion(name, { version: 4 }), 409).detail).toContain("from 5 on");
    expect((await addVersion(name, { version: 5 })).status).toBe(201);
  });

  test("that had the highest number there is leaves version 1 to another, and says so", async () => {
    const name = freshName("removed");
    await registered(name);
    await registered(name, { version: MAX_VERSION });
    await removeFeature(name, "?force=true");
    await registered(name);
    const { detail } = expectProblem(await addVersion(name, { version: 2 }), 409);
    expect(detail).toMatch(/version 1 alone/);
    expect(detail).not.toContain(String(MAX_VERSION + 1));
  });

  test("that had version 1 alone leaves all numbers to another", async () => {
    const name = freshName("simple");
    await registered(name);
    await removeFeature(name, "?force=true");
    await registered(name, { dtype: "string" });
    expect((await addVersion(name, { version: 2 })).status).toBe(201);
  });

  test("leaves its entity type known: its entities are read, written and deleted", async () => {
    await registered("charge", { entity_type: "gadget" });
    const list = [entry("default", { charge: 1 })];
    const data = { entity_type: "gadget" };
    expect((await upsert("g-1", list, { data })).status).toBe(200);
    expect((await removeFeature("charge", "?force=true")).status).toBe(200);
    expect((await readItem("g-1", "default", "?entity_type=gadget")).status).toBe(200);
    expect((await upsert("g-2", list, { data })).status).toBe(200);
    expect((await remove("/entities/gadget/g-1")).status).toBe(200);
  });

  test("of a tenant whose removed features are of as many entity types as may be stays", async () => {
    const tenant = "typed";
    await env.DB.prepare(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
       INSERT INTO past_entity_types SELECT ?, 'type' || i FROM n`,
    )
      .bind(MAX_PAST_ENTITY_TYPES, tenant)
      .run();
    const removed = async (entityType: string) => {
      const scalar = { kind: "scalar", rawTableId: null, entityKey: null, materialize: null } as const;
      const words = { description: null, owner: null, tags: [] };
      const feature = {
        ...scalar,
        ...words,
        name: entityType,
        entityType,
        category: "c",
        computationLogic: null,
      };
      const of = { dtype: "int64", computationLogic: null, ttlSeconds: null, defaultValue: null } as const;
      const version = { ...of, version: 1, status: "active", words } as const;
      const { feature: added } = await insertVersion(env.DB, tenant, feature, version, 1);
      if (!added) throw new Error("not added");
      return removeFromRegistry(env.DB, tenant, added, { only: "any", now: 2 });
    };
    expect(await removed("another")).toBeNull();
    for (const known of ["type7", "bright_uid"])
      expect(await removed(known)).toEqual([{ version: 1, createdAt: 1 }]);
    const there = "SELECT name FROM features WHERE tenant_id = ?";
    expect((await env.DB.prepare(there).bind(tenant).all()).results).toEqual([{ name: "another" }]);
    const versions = "SELECT count(*) AS n FROM feature_versions WHERE tenant_id = ?";
    expect(await env.DB.prepare(versions).bind(tenant).first("n")).toBe(1);
  });

  test("of many removals at once is removed by one of them", async () => {
    const name = freshName("race");
    await registered(name);
    const answers = await Promise.all(Array.from({ length: 6 }, () => removeFeature(name, "?force=true")));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 404, 404, 404, 404, 404]);
  });

  test("is either gone or active, when both come at once", async () => {
    for (let round = 0; round < 10; round += 1) {
      const name = freshName("race");
      await registered(name, { status: "draft" });
      const [removed, activated] = await Promise.all([removeFeature(name), setStatus(name, 1, "active")]);
      expect([
        [200, 404],
        [409, 200],
      ]).toContainEqual([removed.status, activated.status]);
      expect((await get(`/features/${name}`)).status).toBe(removed.status === 200 ? 404 : 200);
    }
  });

  test("does not come back with a version that is added at the same time", async () => {
    const name = freshName("race");
    await registered(name);
    const feature = await findFeature(env.DB, "default", name);
    await removeFeature(name, "?force=true");
    if (!feature) throw new Error("not found");
    const [own] = feature.versions;
    if (!own) throw new Error("no version");
    const version = { ...own, version: 2, words: own };
    const scalar = { version, proof: null };
    expect(await insertFurtherVersion(env.DB, "default", feature, scalar, 1)).toEqual({
      ...{ added: false, feature: null },
    });
    expectProblem(await get(`/features/${name}`), 404);
  });
});

test("a value under another spelling of its version is refused, alone and in a batch, and nothing of it is kept", async () => {
  const name = freshName("spelled");
  await registered(name, { dtype: "int64" });
  const refused = expectProblem(await write("spelled", { [`${name}@v1`]: "text" }), 422);
  expect(faultPlaces(refused)).toEqual([`body.data.feature_list.0.features.${name}@v1`]);
  expect(refused.detail).toContain(`written as \`${name}\``);
  const row = {
    entity_type: "user",
    entity_value: "spelled",
    feature_list: [entry("default", { [`${name}@1`]: 1 })],
  };
  const { body } = await post<BatchWritten>("/items/batch", { metadata: WRITER, data: [row] });
  expect(body.results[0]).toMatchObject({ outcome: "rejected", reason: { type: "version_spelling" } });
  expectProblem(await readItem("spelled", "default", "?entity_type=user"), 404);
});

describe("another tenant", () => {
  test("sees nothing of a feature, and has the name and the type to itself", async () => {
    await post("/admin/tenants", { name: "other", tenant_id: "other" });
    const scopes = ["read", "write"];
    const { body: key } = await post<{ key: string }>("/admin/tenants/other/keys", { name: "k", scopes });
    const other = { "x-api-key": key.key };
    const { feature_id } = await registered("shared_name", { entity_type: "vehicle", dtype: "int64" });
    for (const nameOrId of ["shared_name", feature_id]) {
      expectProblem(await get(`/features/${nameOrId}`, other), 404);
      expectProblem(await post(`/features/${nameOrId}/versions`, { version: 2 }, other), 404);
      const asked = { body: { status: "deprecated" }, headers: other };
      expectProblem(await ask("PATCH", `/features/${nameOrId}/versions/1`, asked), 404);
    }
    expect((await get<Page>("/features", other)).body).toEqual({ features: [], next_cursor: null });
    const body = itemsBody("x-1", [entry("default", { shared_name: "text" })], {
      data: { entity_type: "vehicle" },
    });
    expectProblem(await post("/items", body, other), 422);
    expect((await register("shared_name", { entity_type: "vehicle", dtype: "string" }, other)).status).toBe(
      201,
    );
    expect((await post("/items", body, other)).status).toBe(200);
    expect((await get<Feature>("/features/shared_name")).body).toMatchObject({ feature_id, dtype: "int64" });
    expect(await onlineValues("x-1", ["shared_name"])).toEqual(["null NOT_FOUND 1"]);
  });
});
