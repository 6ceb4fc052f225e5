import { describe, expect, test } from "vitest";
import { Problem } from "../../worker/errors.ts";
import { featureValues } from "../../worker/http/fields.ts";
import { parseJson } from "../../worker/json.ts";
import { buildCatalog, type CatalogEntry, type CatalogVersion } from "../../worker/registry/catalog.ts";
import { versionOf } from "../../worker/registry/definitions.ts";
import { describeFault, enforceTypes } from "../../worker/registry/enforce-types.ts";
import type { RegisteredVersion } from "../../worker/registry/registry-store.ts";
import { entityTypeFor, ofEntityType, resolveReferences } from "../../worker/registry/resolve-references.ts";
import {
  parseReference,
  parseVersion,
  registeredName,
  storedName,
  versionField,
} from "../../worker/registry/versions.ts";

const version = (number: number, over: Partial<CatalogVersion> = {}): CatalogVersion => ({
  version: number,
  dtype: "float64",
  ttlSeconds: null,
  defaultValue: null,
  status: "active",
  createdAt: 0,
  ...over,
});

const entry = (name: string, versions: CatalogVersion[], over: Partial<CatalogEntry> = {}): CatalogEntry => ({
  name,
  kind: "scalar",
  entityType: "user",
  category: "default",
  versions,
  ...over,
});

const problemOf = (work: () => unknown): Problem => {
  try {
    work();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error("nothing was refused");
};

describe("a version", () => {
  test.each([
    [1, 1],
    ["1", 1],
    ["v1", 1],
    ["v12", 12],
    [1_000_000, 1_000_000],
    ["v1000000", 1_000_000],
  ])("written %j is %d", (written, number) => {
    expect(parseVersion(written)).toBe(number);
    expect(versionField.parse(written)).toBe(number);
  });

  test.each([
    0,
    "0",
    "v0",
    -1,
    "-1",
    1_000_001,
    "v1000001",
    "99999999999999999999",
    "V1",
    "1.0",
    "v",
    "",
    " 1",
    "1 ",
  ])("is not written %j", (written) => {
    expect(parseVersion(written)).toBeNull();
    expect(versionField.safeParse(written).success).toBe(false);
  });

  test.each([[1.5], [null], [true], [[1]], [{}]])("is not %j", (written) => {
    expect(versionField.safeParse(written).success).toBe(false);
  });

  test("1 is stored under the bare name, a later one under name@N", () => {
    expect([storedName("age", 1), storedName("age", 2), storedName("age", 12)]).toEqual([
      "age",
      "age@2",
      "age@12",
    ]);
  });
});

describe("a registered name", () => {
  test.each(["a", "_", "A.b-c_9", "__proto__", "a".repeat(512)])("may be %s", (name) => {
    expect(registeredName.safeParse(name).success).toBe(true);
  });

  test.each(["", "1a", "-a", ".a", "a b", "a:b", "a@1", "ä", "a\n", "a".repeat(513)])(
    "may not be %j",
    (name) => {
      expect(registeredName.safeParse(name).success).toBe(false);
    },
  );
});

describe("a reference", () => {
  test.each([
    ["age", { kind: "registered", name: "age", version: null }],
    ["age@2", { kind: "registered", name: "age", version: 2 }],
    ["age@v2", { kind: "registered", name: "age", version: 2 }],
    ["__proto__", { kind: "registered", name: "__proto__", version: null }],
    ["user_features:age", { kind: "category", category: "user_features", feature: "age" }],
    ["c:*", { kind: "category", category: "c", feature: "*" }],
    ["c:a:b", { kind: "category", category: "c", feature: "a:b" }],
    ["c d:e f", { kind: "category", category: "c d", feature: "e f" }],
    ["c:age@2", { kind: "category", category: "c", feature: "age@2" }],
  ])("%s is read", (text, reference) => {
    expect(parseReference(text)).toEqual(reference);
  });

  test.each([
    "",
    "1a",
    "a b",
    "c:",
    ":a",
    ":",
    "age@",
    "age@0",
    "age@v0",
    "age@x",
    "age@1@2",
    "age@9999999",
    "*",
  ])("is not %j", (text) => {
    expect(parseReference(text)).toBeNull();
  });

  test("that cannot be read is 422 and names its place, with repetitions before it", () => {
    const catalog = buildCatalog([]);
    const problem = problemOf(() => resolveReferences(catalog, ["a", "a", "b c"], ["body", "feature_names"]));
    expect(problem.status).toBe(422);
    expect(problem.extras.errors?.[0]?.loc).toEqual(["body", "feature_names", 2]);
  });
});

describe("the catalog", () => {
  test("means by the bare name the newest active version, in whatever order they come", () => {
    const versions = [
      version(2),
      version(10, { status: "draft" }),
      version(3),
      version(1),
      version(4, { status: "deprecated" }),
    ];
    for (const some of [versions, versions.toReversed()]) {
      const feature = buildCatalog([entry("age", some)]).features.get("age");
      expect(feature?.active?.version).toBe(3);
      expect([...(feature?.versions.keys() ?? [])].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 10]);
    }
  });

  test("means nothing by the bare name when no version is active", () => {
    const catalog = buildCatalog([
      entry("age", [version(1, { status: "deprecated" }), version(2, { status: "draft" })]),
    ]);
    expect(catalog.features.get("age")?.active).toBeNull();
    const [resolved] = resolveReferences(catalog, ["age"], []);
    expect(resolved).toMatchObject({ version: null, category: null });
  });

  test("finds every version, drafts too, by type, category and stored name", () => {
    const catalog = buildCatalog([
      entry("age", [version(1), version(2, { status: "draft", dtype: "int64" })]),
      entry("constructor", [version(1)], { category: "other" }),
      entry("age_of_account", [version(1)], { entityType: "account_id" }),
    ]);
    expect([...(catalog.storedIn("user", "default")?.keys() ?? [])]).toEqual(["age", "age@2"]);
    expect(catalog.storedIn("user", "default")?.get("age@2")?.version.dtype).toBe("int64");
    expect([...(catalog.storedIn("user", "other")?.keys() ?? [])]).toEqual(["constructor"]);
    expect(catalog.storedIn("account_id", "other")).toBeUndefined();
    expect(catalog.storedIn("__proto__", "constructor")).toBeUndefined();
    expect([...catalog.entityTypes].sort()).toEqual(["account_id", "user"]);
  });
});

test("registered TTLs are those of each version by its stored name, and of a computed feature those of its category", () => {
  const catalog = buildCatalog([
    entry("age", [version(1, { ttlSeconds: 60 }), version(2)]),
    entry("size", [version(1, { ttlSeconds: 30 })]),
    entry("free", [version(1)], { category: "other" }),
    entry("vector", [version(1, { ttlSeconds: 10 }), version(2, { ttlSeconds: 20 }), version(3)], {
      kind: "computed",
      category: "vector",
    }),
  ]);
  const everlasting = Number.POSITIVE_INFINITY;
  const [age, size] = [60_000_000, 30_000_000];
  expect(catalog.ttlsIn("user", "default")).toEqual({
    ...{
      byName: new Map([
        ["age", age],
        ["size", size],
      ]),
      others: everlasting,
      shortest: size,
    },
  });
  expect(catalog.ttlsIn("user", "other")).toBeUndefined();
  expect(catalog.ttlsIn("account_id", "default")).toBeUndefined();
  expect(catalog.ttlsIn("user", "vector")).toEqual({
    byName: new Map(),
    others: 10_000_000,
    shortest: 10_000_000,
  });
  expect(catalog.ttlsIn("user", "vector@2")?.others).toBe(20_000_000);
  expect(catalog.ttlsIn("user", "vector@3")).toBeUndefined();
});

describe("enforced types", () => {
  const registered = buildCatalog([
    entry("count", [version(1, { dtype: "int64" }), version(2, { dtype: "string" })]),
    entry("__proto__", [version(1, { dtype: "boolean" })]),
    entry("constructor", [version(1, { dtype: "timestamp" })]),
  ]).storedIn("user", "default");
  const enforced = (json: string) => enforcedOf(registered, json);
  const enforcedOf = (known: typeof registered, json: string) => {
    const answer = enforceTypes(known, featureValues.parse(parseJson(json)));
    return answer.ok ? answer.features.data : describeFault(answer.fault);
  };

  test("leave a category of which nothing is registered as it is", () => {
    expect(enforcedOf(undefined, '{"count":"x","__proto__":1}')).toBe('{"count":"x","__proto__":1}');
  });

  test("normalise what is registered and pass on the rest", () => {
    expect(
      enforced(
        '{"x":{"y":[1]},"count":"9007199254740993","count@2":"1","constructor":"2025-01-01T00:00Z","toString":1}',
      ),
    ).toBe(
      '{"x":{"y":[1]},"count":9007199254740993,"count@2":"1","constructor":"2025-01-01T00:00:00.000000+00:00","toString":1}',
    );
  });

  test("treat __proto__ as a name like any other", () => {
    expect(enforced('{"__proto__":true,"a":1}')).toBe('{"__proto__":true,"a":1}');
    expect(enforced('{"__proto__":1}')).toBe("feature `__proto__` is of type boolean, found integer");
    expect(enforced('{"constructor":"soon"}')).toBe(
      "feature `constructor` is of type timestamp, found a string that is no ISO 8601 date and time",
    );
  });

  test("hold for each version on its own", () => {
    expect(enforced('{"count@2":2}')).toBe("feature `count@2` is of type string, found integer");
    expect(enforced('{"count":"two"}')).toBe(
      "feature `count` is of type int64, found a string that is no whole number",
    );
  });

  test.each([
    ["count@1", "count"],
    ["count@v1", "count"],
    ["count@v2", "count@2"],
    ["count@02", "count@2"],
    ["count@v9", "count@9"],
  ])("refuse %s, which nobody would find, and say that it is %s", (name, stored) => {
    expect(enforced(JSON.stringify({ [name]: 1 }))).toBe(
      `values of \`${name}\` are written as \`${stored}\``,
    );
  });

  test("leave names alone that only look like versions", () => {
    const names = '{"count@9":"x","a@1":"x","count@latest":"x","count@":"x","@1":"x"}';
    expect(enforced(names)).toBe(names);
  });

  test("take null for any of them", () => {
    expect(enforced('{"count":null,"__proto__":null}')).toBe('{"count":null,"__proto__":null}');
  });
});

describe("the entity type of a request", () => {
  const catalog = buildCatalog([
    entry("age", [version(1)]),
    entry("balance", [version(1)], { entityType: "account_id" }),
    entry("risk", [version(1)], { entityType: "device" }),
    entry("spend", [version(1), version(2)], { kind: "computed", entityType: "device", category: "spend" }),
  ]);
  const typeFor = (names: string[], asked?: string) =>
    entityTypeFor(catalog, resolveReferences(catalog, names, []), { asked, fallback: "bright_uid" });

  test.each([
    [["age"], "user"],
    [["age", "age@1", "c:x", "unknown"], "user"],
    [["balance"], "account_id"],
    [["age@7"], "user"],
    [["c:x", "unknown"], "bright_uid"],
    [["default:age", "c:x", "default:*"], "user"],
    [["default:age@2"], "bright_uid"],
    [["balance", "default:age"], "account_id"],
    [["default:*", "c:age"], "bright_uid"],
    [["spend:total"], "device"],
    [["spend@2:*"], "device"],
    [["spend@3:*"], "bright_uid"],
  ])("for %j is %s", (names, type) => {
    expect(typeFor(names)).toBe(type);
  });

  test("is the one asked for, whatever is named, when it is built in or declared", () => {
    for (const type of ["bright_uid", "account_id", "device"]) {
      expect(typeFor(["age", "balance"], type)).toBe(type);
    }
    const problem = problemOf(() => typeFor(["age"], "martian"));
    expect(problem.status).toBe(422);
    expect(problem.extras.errors?.[0]?.loc).toEqual(["body", "entity_type"]);
    expect(problem.message).toContain("by registering");
  });

  test("must be asked for where the features named belong to several", () => {
    const problem = problemOf(() => typeFor(["risk", "balance", "age"]));
    expect(problem.status).toBe(422);
    expect(problem.message).toContain("account_id, device, user");
    expect(problem.extras.errors?.[0]?.loc).toEqual(["body", "entity_type"]);
  });

  test("decides where a feature is looked for: one of another type is nowhere", () => {
    const resolved = ofEntityType(catalog, resolveReferences(catalog, ["age", "balance", "c:x"], []), "user");
    expect(resolved.map(({ category }) => category)).toEqual(["default", null, "c"]);
    expect(resolved.map(({ version }) => version?.version)).toEqual([1, undefined, undefined]);
  });

  test("decides whether category:feature is a registered feature", () => {
    const names = ["default:age", "default:other", "other:age"];
    const of = (type: string) => ofEntityType(catalog, resolveReferences(catalog, names, []), type);
    expect(of("user").map((one) => one.version?.version)).toEqual([1, undefined, undefined]);
    expect(of("device").map((one) => one.version?.version)).toEqual([undefined, undefined, undefined]);
  });
});

describe("a version's definition", () => {
  const like: RegisteredVersion = {
    versionId: 1,
    tenantId: "default",
    featureId: 1,
    version: 1,
    dtype: "float64",
    computationLogic: null,
    ttlSeconds: 60,
    defaultValue: "1.5",
    status: "active",
    description: "before",
    owner: null,
    tags: ["t"],
    createdAt: 0,
    updatedAt: 0,
    registeredWords: null,
  };

  test("takes what is left out from the version before, and nothing that is said", () => {
    const { createdAt: _, ...second } = version(2);
    expect(versionOf({ version: 2 }, like)).toMatchObject({
      ...second,
      ttlSeconds: 60,
      defaultValue: "1.5",
      status: null,
      words: { description: "before", owner: null, tags: ["t"] },
    });
    const words = { description: "now", owner: "me", tags: ["u", "v"] };
    expect(versionOf({ version: 2, ...words }, like).words).toEqual(words);
    expect(
      versionOf({ version: 2, dtype: "int64", ttl_hours: 0.5, default_value: "7", status: "active" }, like),
    ).toMatchObject({ version: 2, dtype: "int64", ttlSeconds: 1_800, defaultValue: "7", status: "active" });
  });

  test.each([{ ttl_seconds: null }, { ttl_hours: null }, { ttl_seconds: null, ttl_hours: null }])(
    "has no TTL when it says %j",
    (said) => {
      expect(versionOf({ version: 2, ...said }, like).ttlSeconds).toBeNull();
    },
  );

  test("takes the TTL in hours or in seconds, or both when they agree", () => {
    expect(versionOf({ version: 2, ttl_hours: 24, ttl_seconds: 86_400 }, like).ttlSeconds).toBe(86_400);
    expect(problemOf(() => versionOf({ version: 2, ttl_hours: 24, ttl_seconds: 60 }, like)).status).toBe(422);
  });

  test("has a default of its type, null for none, and an exact one beyond 2^53", () => {
    const of = (value: unknown) =>
      versionOf({ version: 1, dtype: "int64", default_value: value }, null).defaultValue;
    expect([of(0), of("9007199254740993"), of(null), of(undefined)]).toEqual([
      "0",
      "9007199254740993",
      null,
      null,
    ]);
    const problem = problemOf(() => of("seven"));
    expect(problem.status).toBe(422);
    expect(problem.message).toMatch(/int64.*string/);
  });

  test("needs a type when there is no version to take it from", () => {
    expect(problemOf(() => versionOf({ version: 1 }, null)).extras.errors?.[0]?.loc).toEqual([
      "body",
      "dtype",
    ]);
  });
});
