/** Registering features and finding them. */
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import {
  MAX_DEFAULT_VALUE_BYTES,
  MAX_DEFINITIONS_BYTES,
  MAX_VERSIONS_PER_TENANT,
} from "../../worker/limits.ts";
import { editFeature, editVersion } from "../../worker/registry/edit-words.ts";
import { insertVersion } from "../../worker/registry/insert-feature.ts";
import { whyNotAdded } from "../../worker/registry/may-be-added.ts";
import type { NewVersion } from "../../worker/registry/registry-store.ts";
import { type Answer, expectProblem, faultPlaces, get, TIMESTAMP } from "../setup/http.ts";
import {
  addVersion,
  type Feature,
  freshName,
  type Page,
  patch,
  register,
  registered,
  setStatus,
} from "./features.ts";

const aTimestamp = expect.stringMatching(TIMESTAMP);

const WORDS = { description: null, owner: null, tags: null };
const scalarVersion = (defaultValue: string | null) => ({
  ...{ version: 1, dtype: "string" as const, computationLogic: null, ttlSeconds: null, status: null },
  ...{ defaultValue, words: WORDS },
});
const scalar = (name: string) => ({
  ...{ name, entityType: "user", category: "default", kind: "scalar" as const, tags: [] },
  ...{ rawTableId: null, entityKey: null, materialize: null, computationLogic: null },
  ...{ description: null, owner: null },
});

/** So many versions of a feature that nobody has. */
const plant = (tenant: string, count: number, defaultValue: string | null, featureId = -1) =>
  env.DB.prepare(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
     INSERT INTO feature_versions (tenant_id, feature_id, version, dtype, default_value, status, created_at, updated_at)
     SELECT ?2, ?4, i, 'string', ?3, 'draft', 0, 0 FROM n`,
  )
    .bind(count, tenant, defaultValue, featureId)
    .run();

describe("POST /features/register", () => {
  test("answers 201 as the document of system B shows", async () => {
    const answer = await register("user_lifetime_value", {
      ttl_hours: 24,
      description: "Predicted customer lifetime value",
      tags: ["revenue", "prediction"],
    });
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({
      feature_id: expect.any(Number),
      name: "user_lifetime_value",
      version: 1,
      status: "registered",
      created_at: aTimestamp,
    });
  });

  test("again in the same way is 200 and changes nothing, however version and TTL are written", async () => {
    const name = freshName("same");
    const first = await registered(name, { ttl_hours: 24, default_value: 1, tags: ["a"], description: "d" });
    const over = { ttl_seconds: 86_400, default_value: 1, tags: ["a"], description: "d" };
    for (const version of [1, "1", "v1"]) {
      const again = await register(name, { ...over, version });
      expect([again.status, again.body]).toEqual([200, first]);
    }
    await setStatus(name, 1, "deprecated");
    expect((await register(name, over)).status).toBe(200);
    expect((await get<Feature>(`/features/${name}`)).body.versions).toMatchObject([{ status: "deprecated" }]);
    // Nor does it use up an id.
    expect((await registered(freshName("next"))).feature_id).toBe(first.feature_id + 1);
  });

  test("keeps what is said about each version, and finds it by that", async () => {
    const name = freshName("words");
    const tag = freshName("tag");
    await registered(name, { description: "one", tags: ["w1", "w2"] });
    const second = { version: 2, description: `second ${tag}`, tags: [tag], owner: "me" };
    await registered(name, second);
    await addVersion(name, { version: 3 });
    await addVersion(name, { version: 4, description: "fourth" });
    const { body } = await get<Feature>(`/features/${name}`);
    expect(body.versions.map(({ description, tags, owner }) => [description, tags, owner])).toEqual([
      ["one", ["w1", "w2"], null],
      [second.description, [tag], "me"],
      [second.description, [tag], "me"],
      ["fourth", [tag], "me"],
    ]);
    for (const query of [`tag=${tag}`, `q=${tag}`]) {
      const { body: found } = await get<Page>(`/features?${query}`);
      expect(found.features.map((feature) => feature.name)).toEqual([name]);
    }
    // The same again, whatever the order of the tags; and another for either of them.
    expect((await register(name, { description: "one", tags: ["w2", "w1"] })).status).toBe(200);
    expect((await register(name, second)).status).toBe(200);
    for (const over of [{ description: "else" }, { tags: ["else"] }, { owner: "you" }]) {
      const places = faultPlaces(expectProblem(await register(name, { ...second, ...over }), 409));
      expect(places).toEqual([`body.${Object.keys(over)[0]}`]);
    }
  });

  test("takes a registration again whose words were not kept when it was made", async () => {
    const name = freshName("old");
    await registered(name);
    const second = { version: 2, description: "d", tags: ["t"], owner: "o" };
    await registered(name, second);
    await env.DB.prepare("UPDATE feature_versions SET description = NULL, owner = NULL, tags = NULL").run();
    expect((await register(name, second)).status).toBe(200);
  });

  test("adds neither a feature nor a version where there are as many as there may be", async () => {
    await plant("many", MAX_VERSIONS_PER_TENANT, null);
    // 160 bytes are left.
    await plant("large", 16, JSON.stringify("x".repeat(MAX_DEFINITIONS_BYTES / 16 - 12)));
    const text = "x".repeat(200);
    const cases: [string, NewVersion][] = [
      ["many", scalarVersion(null)],
      ["large", scalarVersion(JSON.stringify(text))],
      ["large", { ...scalarVersion(null), computationLogic: text }],
      ["large", { ...scalarVersion(null), words: { ...WORDS, description: text } }],
      ["large", { ...scalarVersion(null), words: { ...WORDS, tags: [text] } }],
    ];
    for (const [tenant, of] of cases) {
      const { added, feature: there } = await insertVersion(env.DB, tenant, scalar("new"), of, 1);
      expect([added, there]).toEqual([false, null]);
      expect(await whyNotAdded(env.DB, tenant, scalar("new"), of)).toEqual({
        sharing: null,
        goneUpTo: null,
        isFull: true,
      });
    }
    expect((await insertVersion(env.DB, "large", scalar("new"), scalarVersion('"x"'), 1)).added).toBe(true);
  });

  test("refuses a default that is larger than it may be", async () => {
    const of = (length: number) =>
      register(freshName("default"), { dtype: "string", default_value: "ä".repeat(length) });
    const most = MAX_DEFAULT_VALUE_BYTES / 2 - 1;
    expect((await of(most)).status).toBe(201);
    expect(faultPlaces(expectProblem(await of(most + 1), 422))).toEqual(["body.default_value"]);
  });

  test.each([
    ["dtype", { dtype: "int64", default_value: 1 }],
    ["ttl_hours", { ttl_hours: 2 }],
    ["ttl_hours", { ttl_hours: 2, ttl_seconds: null }],
    ["ttl_hours", { ttl_hours: null }],
    ["ttl_seconds", { ttl_hours: undefined, ttl_seconds: 7_200 }],
    ["ttl_seconds", { ttl_hours: 2, ttl_seconds: 7_200 }],
    ["ttl_seconds", { ttl_hours: undefined }],
    ["default_value", { default_value: 2 }],
    ["entity_type", { entity_type: "account_id" }],
    ["category", { category: "other" }],
    ["tags", { tags: ["b"] }],
    ["description", { description: "another" }],
  ])("again with another %s is 409, naming it, and changes nothing", async (field, over) => {
    const name = freshName("conflict");
    const first = { ttl_hours: 1, default_value: 1, tags: ["a"] };
    await registered(name, first);
    const before = (await get(`/features/${name}`)).text;
    const problem = expectProblem(await register(name, { ...first, ...over }), 409);
    expect(faultPlaces(problem)).toEqual([`body.${field}`]);
    expect((await get(`/features/${name}`)).text).toBe(before);
  });

  test("a further version is a draft, and the same again is 200 even when it described the feature anew", async () => {
    const name = freshName("further");
    const [first, second] = [{ description: "one" }, { version: "v2", dtype: "int64", description: "two" }];
    const { feature_id } = await registered(name, first);
    expect(await registered(name, second)).toMatchObject({ feature_id, version: 2 });
    for (const over of [first, second, first]) expect((await register(name, over)).status).toBe(200);
    const { body } = await get<Feature>(`/features/${name}`);
    expect(body).toMatchObject({ version: 1, dtype: "float64" });
    expect(body.versions).toMatchObject([
      { version: 1, status: "active" },
      { version: 2, status: "draft", dtype: "int64" },
    ]);
    expectProblem(await register(name, { ...second, dtype: "string" }), 409);
    expectProblem(await register(name, { version: 3, category: "elsewhere" }), 409);
  });

  test("of many at once of one name registers it once", async () => {
    const name = freshName("race");
    const answers = await Promise.all(Array.from({ length: 8 }, () => register(name)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 201]);
    expect(new Set(answers.map(({ body }) => body.feature_id)).size).toBe(1);
  });

  test.each([
    ["name", "other"],
    ["entity_type", "account_id"],
    ["category", "other"],
    ["entity_key", "user_id"],
    ["materialize", "on_ingest"],
  ])("a further version with another %s, which is the feature's, is 409, naming it", async (field, value) => {
    const name = freshName("whole");
    await register(name);
    const refused = expectProblem(await addVersion(name, { version: 2, [field]: value }), 409);
    expect(faultPlaces(refused)).toEqual([`body.${field}`]);
    const same = { name, entity_type: "user", category: "default", entity_key: null, materialize: null };
    expect((await addVersion(name, { version: 2, ...same })).status).toBe(201);
    expectProblem(await addVersion(name, { version: 2, [field]: value }), 409);
  });

  test("of two versions at once as the first of a name makes one of them active", async () => {
    for (let round = 0; round < 10; round += 1) {
      const name = freshName("twofold");
      await Promise.all([1, 2].map((version) => register(name, { version })));
      const { body } = await get<Feature>(`/features/${name}`);
      expect(body.versions.map(({ status }) => status).sort()).toEqual(["active", "draft"]);
    }
  });

  test("with a default whose names stand in another order is the same", async () => {
    const name = freshName("ordered");
    const inOrder = { dtype: "json", default_value: { a: 1, b: [{ c: 1, d: 2 }] } };
    await registered(name, inOrder);
    const another = { ...inOrder, default_value: { b: [{ d: 2, c: 1 }], a: 1 } };
    expect((await register(name, another)).status).toBe(200);
    expectProblem(await register(name, { ...inOrder, default_value: { a: 1, b: [{ c: 1, d: 3 }] } }), 409);
  });

  test("has the time of the last change of any of its versions", async () => {
    const name = freshName("changed");
    await registered(name);
    await registered(name, { version: 2 });
    await setStatus(name, 1, "deprecated");
    const { body } = await get<Feature & { updated_at: string; versions: { updated_at: string }[] }>(
      `/features/${name}`,
    );
    expect(body.updated_at).toBe(body.versions[0]?.updated_at);
  });

  test.each([
    ["name", { name: "1st" }],
    ["name", { name: "a:b" }],
    ["name", { name: "a@2" }],
    ["version", { version: 0 }],
    ["version", { version: "v0" }],
    ["version", { version: "latest" }],
    ["dtype", { dtype: "int32" }],
    ["dtype", { dtype: "array<array<int64>>" }],
    ["entity_type", { entity_type: "a b" }],
    ["entity_type", { entity_type: "features" }],
    ["category", { category: "a:b" }],
    ["ttl_hours", { ttl_hours: 0 }],
    ["ttl_seconds", { ttl_hours: 1, ttl_seconds: 60 }],
    ["default_value", { default_value: "text" }],
    ["default_value", { dtype: "json", default_value: JSON.parse("[".repeat(40) + "]".repeat(40)) }],
    ["status", { status: "retired" }],
    ["tags", { tags: "revenue" }],
  ])("with a faulty %s is 422, naming it: %j", async (field, over) => {
    const problem = expectProblem(await register(freshName("faulty"), over), 422);
    expect(faultPlaces(problem)[0]).toMatch(new RegExp(`^body\\.${field}`));
  });
});

describe("PATCH /features/{name, name@version or id}", () => {
  const said = ({ description, owner, tags }: Pick<Feature, "description" | "owner" | "tags">) => [
    description,
    owner,
    tags,
  ];
  const found = async (query: string) =>
    (await get<Page>(`/features?${query}`)).body.features.map(({ name }) => name);

  test("changes the words that it names, and null takes them away", async () => {
    const [name, tag] = [freshName("edited"), freshName("tag")];
    const { feature_id } = await registered(name, { description: "one", owner: "me", tags: [tag] });
    const before = (await get<Feature>(`/features/${name}`)).body;
    const changed = await patch(name, { description: "two" });
    expect([changed.status, said(changed.body)]).toEqual([200, ["two", "me", [tag]]]);
    expect(changed.text).toBe((await get(`/features/${name}`)).text);
    expect(changed.body.updated_at > before.updated_at).toBe(true);
    expect(changed.body.versions.map(said)).toEqual([["two", "me", [tag]]]);
    expect(said((await patch(feature_id, { owner: null, tags: [`${tag}b`] })).body)).toEqual([
      "two",
      null,
      [`${tag}b`],
    ]);
    expect([await found(`tag=${tag}`), await found(`tag=${tag}b`)]).toEqual([[], [name]]);
    expect(said((await patch(name, { description: null, tags: null })).body)).toEqual([null, null, []]);
    // Nothing, nothing.
    const last = await patch(name, {});
    expect([last.status, last.text]).toEqual([200, (await get(`/features/${name}`)).text]);
  });

  test("changes them of the version that the name means, and of those of which the same was said", async () => {
    const name = freshName("edited");
    await registered(name, { description: "one", owner: "me", tags: ["a"] });
    await registered(name, { version: 2, description: "two", status: "active" });
    await registered(name, { version: 3, description: "three" });
    await registered(name, { version: 4, description: "one", tags: ["b"] });
    await addVersion(name, { version: 5 });
    const { body } = await patch(name, { description: "new", tags: ["c"] });
    expect(body).toMatchObject({ version: 2, description: "new" });
    expect(body.versions.map(said)).toEqual([
      ["new", "me", ["c"]],
      ["new", "me", ["c"]],
      ["three", "me", ["c"]],
      ["new", "me", ["b"]],
      ["new", "me", ["b"]],
    ]);
    expect(await found("q=three")).toContain(name);
    expect(await found(`q=one`)).not.toContain(name);
  });

  test("of one version changes that alone, as reading it answers; null: what is said of the feature", async () => {
    const name = freshName("edited");
    await registered(name, { description: "one", tags: ["a"] });
    await registered(name, { version: 2, description: "two" });
    const changed = await patch(`${name}@v2`, { description: "second", tags: [] });
    expect([changed.status, changed.body.version, said(changed.body)]).toEqual([
      200,
      2,
      ["second", null, []],
    ]);
    expect(changed.text).toBe((await get(`/features/${name}@2`)).text);
    expect(said((await get<Feature>(`/features/${name}`)).body)).toEqual(["one", null, ["a"]]);
    expect(said((await patch(`${name}@2`, { description: null, tags: null })).body)).toEqual([
      "one",
      null,
      ["a"],
    ]);
    expectProblem(await patch(`${name}@3`, { description: "x" }), 404);
  });

  test("leaves what was registered the same registration, and that changes nothing of it", async () => {
    const name = freshName("deployed");
    const first = { description: "one", owner: "me", tags: ["a", "b"] };
    const second = { version: 2, description: "two" };
    await registered(name, first);
    await registered(name, second);
    await patch(name, { description: "new", owner: "you", tags: ["c"] });
    await patch(`${name}@2`, { description: "between" });
    await patch(`${name}@2`, { description: "newer", owner: "they" });
    await patch(name, { description: "newest" });
    const after = (await get(`/features/${name}`)).text;
    const now = { description: "newest", owner: "you", tags: ["c"] };
    for (const same of [first, { ...first, tags: ["b", "a"] }, now, {}, { ...now, owner: "me" }]) {
      expect((await register(name, same)).status, JSON.stringify(same)).toBe(200);
    }
    for (const same of [second, { ...second, description: "newer", owner: "they" }]) {
      expect((await register(name, same)).status, JSON.stringify(same)).toBe(200);
      expect((await addVersion(name, same)).status, JSON.stringify(same)).toBe(200);
    }
    for (const over of [{ description: "new" }, { tags: ["d"] }, { owner: "they" }]) {
      const places = faultPlaces(expectProblem(await register(name, { ...first, ...over }), 409));
      expect(places).toEqual([`body.${Object.keys(over)[0]}`]);
    }
    expect((await get(`/features/${name}`)).text).toBe(after);
  });

  test.each([
    ["dtype", "int64", /register a new version/],
    ["ttl_hours", 1, /register a new version/],
    ["ttl_seconds", 60, /register a new version/],
    ["default_value", 1, /register a new version/],
    ["computation_logic", "SELECT 1", /register a new version/],
    ["status", "active", /PATCH .*versions/],
    ["version", 2, /name@version/],
    ["name", "other", /register a feature of another name/],
    ["entity_type", "account_id", /register a feature of another name/],
    ["category", "other", /register a feature of another name/],
    ["descripton", "misspelt", /is not known here/],
    ["description", 1, /a string/],
    ["tags", "a", /array|list/],
    ["owner", "", /at least 1/],
  ])("with %s is 422, naming it, and changes nothing", async (field, value, words) => {
    const name = freshName("untouched");
    await registered(name, { description: "one" });
    const before = (await get(`/features/${name}`)).text;
    const problem = expectProblem(await patch(name, { description: "two", [field]: value }), 422);
    expect(faultPlaces(problem)).toEqual([`body.${field}`]);
    expect(problem.errors?.[0]?.msg).toMatch(words);
    expect((await get(`/features/${name}`)).text).toBe(before);
  });

  test("is 404 for what there is not", async () => {
    for (const reference of ["nobody", "nobody@1", "999999999"])
      expectProblem(await patch(reference, { owner: "me" }), 404);
  });

  test("of many at once leaves each word as one of them said it", async () => {
    const name = freshName("edited");
    await registered(name, { description: "one", owner: "me" });
    const words = Array.from({ length: 8 }, (_, i) => `${i}`);
    await Promise.all(words.map((word) => patch(name, { description: word, owner: word })));
    const { body } = await get<Feature>(`/features/${name}`);
    expect(words).toContain(body.description);
    expect(body.owner).toBe(body.description);
    expect(body.versions.map(said)).toEqual([said(body)]);
  });

  test("is 409 where the words have no room, and changes nothing", async () => {
    const tenant = "wordy";
    const said = { ...scalarVersion(null), words: { ...WORDS, description: "d" } };
    const { feature } = await insertVersion(env.DB, tenant, { ...scalar("f"), description: "d" }, said, 1);
    if (!feature) throw new Error("not inserted");
    await plant(tenant, 16, JSON.stringify("x".repeat(MAX_DEFINITIONS_BYTES / 16 - 12)));
    const edit = { change: { description: "x".repeat(200) }, now: 2 };
    const [row] = feature.versions;
    if (!row) throw new Error("no version");
    expect(await editFeature(env.DB, tenant, feature, edit)).toEqual({ edited: false, feature });
    expect(await editVersion(env.DB, tenant, row, edit)).toEqual({ edited: false, feature });
    const own = { ...scalarVersion(null), version: 2, words: { ...WORDS, description: "e" } };
    const active = { ...own, status: "active" as const };
    const { feature: described } = await insertVersion(env.DB, tenant, scalar("f"), active, 1);
    if (!described) throw new Error("not inserted");
    await plant(tenant, 1, JSON.stringify("x".repeat(200)), -2);
    // The feature says that already; its second version, which the name means, does not.
    const same = { change: { description: "d" }, now: 2 };
    const full = await editFeature(env.DB, tenant, described, same);
    expect(full).toEqual({ edited: false, feature: described });
    await env.DB.prepare("DELETE FROM feature_versions WHERE feature_id = -2").run();
    const smaller = await editFeature(env.DB, tenant, feature, { ...edit, change: { description: "x" } });
    expect(smaller).toMatchObject({ edited: true, feature: { description: "x" } });
  });
});

describe("GET /features", () => {
  const names = async (query: string) =>
    (await get<Page>(`/features?${query}`)).body.features.map(({ name }) => name);

  test("filters by entity type, tag and part of name or description, in any combination", async () => {
    await registered("list_a", { entity_type: "list_type", tags: ["red", "blue"], description: "First one" });
    await registered("list_b", { entity_type: "list_type", tags: ["red"], owner: "team" });
    await registered("list_c", { entity_type: "list_type_2", tags: ["re"], description: "the first of all" });
    expect(await names("entity_type=list_type")).toEqual(["list_a", "list_b"]);
    expect(await names("table_type=list_type")).toEqual(["list_a", "list_b"]);
    const both = await get("/features?entity_type=list_type&table_type=list_type_2");
    expect(faultPlaces(expectProblem(both, 422))).toEqual(["query.table_type"]);
    expect(await names("q=list_&tag=red")).toEqual(["list_a", "list_b"]);
    expect(await names("tag=re")).toEqual(["list_c"]);
    expect(await names("q=LIST_&tag=blue")).toEqual(["list_a"]);
    expect(await names("q=first")).toEqual(["list_a", "list_c"]);
    expect(await names("q=first&entity_type=list_type_2")).toEqual(["list_c"]);
    expect(await names("q=first&entity_type=list_type&tag=re")).toEqual([]);
  });

  test("searches for %, _, \\ and ' as they are", async () => {
    await registered("search_percent", { description: "100% sure" });
    await registered("search_backslash", { description: "C:\\data, it's" });
    await registered("searchXunderscore", { description: "1000 sure" });
    for (const [q, found] of [
      ["0% s", ["search_percent"]],
      ["search_", ["search_percent", "search_backslash"]],
      ["\\d", ["search_backslash"]],
      ["it's", ["search_backslash"]],
      ["%", ["search_percent"]],
      ["searchX", ["searchXunderscore"]],
    ] as const) {
      expect(await names(`q=${encodeURIComponent(q)}`), q).toEqual(found);
    }
  });

  test("searches for a text of any length that a name may have", async () => {
    const name = `long_${"x".repeat(500)}`;
    await registered(name);
    expect(await names(`q=${name}`)).toEqual([name]);
    expect(await names(`q=${"ü".repeat(512)}`)).toEqual([]);
  });

  test("pages through all, each once, in the order of their ids", async () => {
    await Promise.all(Array.from({ length: 7 }, (_, i) => registered(`paged_${i}`, { tags: ["paged"] })));
    const seen: Feature[] = [];
    const sizes: number[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const { body: page }: Answer<Page> = await get<Page>(
        `/features?tag=paged&limit=3${cursor && `&cursor=${encodeURIComponent(cursor)}`}`,
      );
      seen.push(...page.features);
      sizes.push(page.features.length);
      cursor = page.next_cursor;
    }
    expect(sizes).toEqual([3, 3, 1]);
    const ids = seen.map(({ feature_id }) => feature_id);
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
    expect(seen.map(({ name }) => name).sort()).toEqual([0, 1, 2, 3, 4, 5, 6].map((i) => `paged_${i}`));
    const whole = await get<Page>("/features?tag=paged&limit=7");
    expect([whole.body.features.length, whole.body.next_cursor]).toEqual([7, null]);
  });

  test.each(["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=", "cursor=f-1"])(
    "?%s is 422",
    async (query) => {
      const problem = expectProblem(await get(`/features?${query}`), 422);
      expect(faultPlaces(problem)).toEqual([`query.${query.split("=")[0]}`]);
    },
  );
});

describe("GET /features/{name or id}", () => {
  test("answers the feature with its versions, by either", async () => {
    const name = freshName("one");
    const { feature_id } = await registered(name, {
      dtype: "int64",
      ttl_hours: 0.5,
      default_value: "9007199254740993",
      owner: "growth",
      tags: ["t"],
    });
    const { text, body } = await get<Feature>(`/features/${name}`);
    expect((await get(`/features/${feature_id}`)).text).toBe(text);
    expect(text).toContain('"default_value":9007199254740993,');
    const times = { created_at: aTimestamp, updated_at: aTimestamp };
    const common = { dtype: "int64", ttl_hours: 0.5 };
    const own = {
      feature_version_id: expect.any(Number),
      feature_id,
      version: 1,
      ttl_seconds: 1_800,
      status: "active",
    };
    expect(body).toMatchObject({
      ...{ feature_id, name, entity_type: "user", category: "default", description: null, owner: "growth" },
      ...{ tags: ["t"], version: 1, ...common, ...times },
      versions: [{ ...own, ...common, ...times }],
    });
  });

  test("answers a feature by a reference to one of its versions, however it is written", async () => {
    const name = freshName("referred");
    await registered(name, { ttl_hours: 1, description: "one", tags: ["b", "a"] });
    await registered(name, { version: 2, dtype: "int64", ttl_hours: 48, description: "two", owner: "me" });
    const { body } = await get<Feature>(`/features/${name}`);
    const one = { version: 1, dtype: "float64", ttl_hours: 1, description: "one", owner: null };
    const two = { version: 2, dtype: "int64", ttl_hours: 48, description: "two", owner: "me" };
    expect(body).toMatchObject({ ...one, tags: ["b", "a"] });
    for (const version of ["1", "v1", "2", "v2", "02"]) {
      const answer = await get<Feature>(`/features/${name}@${version}`);
      const own = version.endsWith("1") ? one : two;
      expect([answer.status, answer.body], version).toEqual([200, { ...body, ...own }]);
    }
    for (const version of ["3", "v3", "0", "x", ""]) {
      expectProblem(await get(`/features/${name}@${version}`), 404, version);
    }
    expectProblem(await get("/features/nosuch@1"), 404);
  });

  test("is 404 for a name or an id that there is not", async () => {
    for (const nameOrId of ["nobody", "999999999", "0", "__proto__", "a:b"]) {
      expectProblem(await get(`/features/${nameOrId}`), 404, nameOrId);
    }
  });
});
