import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bucketOf,
  databaseOf,
  databaseOfPartition,
  documentKey,
  type EntityRef,
  entityKey,
  entityRef,
  fnv1a,
  partitionOf,
  rawTableName,
  statsName,
  subscriberName,
  writerName,
} from "../worker/keys.ts";
import { KV_MAX_KEY_BYTES, MAX_NAME_CHARACTERS } from "../worker/limits.ts";

const TEXTS = [
  "a",
  "/",
  "%",
  "%2F",
  "#",
  "a/b",
  "doc",
  "4",
  "..",
  " ",
  "é",
  "e\u0301",
  "語",
  "😀",
  "a".repeat(30),
];

/** Names made of what keys are made of, so that they would collide if anything let them. */
const name = fc
  .array(fc.constantFrom(...TEXTS), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join(""));
/** Up to 512 characters; the longest must be hashed. */
const longName = fc
  .tuple(
    fc.constantFrom("x", "語", "/", "%"),
    fc.integer({ min: 1, max: MAX_NAME_CHARACTERS - 24 }),
    fc.constantFrom("", "/", "#", "y", "é"),
  )
  .map(([unit, count, end]) => unit.repeat(count) + end);
const anyName = fc.oneof(name, longName, fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }));
const ref: fc.Arbitrary<EntityRef> = fc.record({ entityType: anyName, entityValue: anyName });
const tenant = fc.string({
  unit: fc.constantFrom("a", "b", "/", "-", "_", "1"),
  minLength: 1,
  maxLength: 32,
});

/** Two of the same kind, mostly alike. */
const twice = <T>(of: fc.Arbitrary<T>) =>
  of.chain((one) => fc.tuple(fc.constant(one), fc.oneof(fc.constant(one), of)));

const bytesOf = (text: string) => new TextEncoder().encode(text).length;

describe("a document key", () => {
  test("is shared by no two tenants, types or values", () => {
    const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
    fc.assert(
      fc.property(
        twice(tenant),
        twice(anyName),
        twice(anyName),
        twice(fc.constantFrom(1, 4, 44)),
        (...pairs) => {
          const [a, b] = [0, 1].map((i) => pairs.map((pair) => pair[i]) as [string, string, string, number]);
          const keyOf = ([owner, entityType, entityValue, partitions]: [string, string, string, number]) =>
            documentKey(owner, partitions, { entityType, entityValue });
          if (a && b) expect(keyOf(a) === keyOf(b)).toBe(same(a, b));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test("moves no part of a name into its neighbour", () => {
    const names = [
      ["t", "a/b", "c"],
      ["t", "a", "b/c"],
      ["t", "a%2Fb", "c"],
      ["t/doc/4/a", "b", "c"],
      ["t", "a#b", "c"],
      ["t", "a", "b#c"],
      ["t", "", "a/b/c"],
      ["T", "a", "b/c"],
      ["t", "A", "b/c"],
      ["t", "é", "c"],
      ["t", "e\u0301", "c"],
    ] as const;
    const keys = names.map(([owner, entityType, entityValue]) =>
      documentKey(owner, 4, { entityType, entityValue }),
    );
    expect(new Set(keys).size).toBe(names.length);
  });

  test("has no more bytes than KV takes and begins with the tenant, however long the names are", () => {
    fc.assert(
      fc.property(tenant, ref, (owner, entity) => {
        const key = documentKey(owner, 1_024, entity);
        expect(bytesOf(key)).toBeLessThanOrEqual(KV_MAX_KEY_BYTES);
        expect(key.startsWith(`${encodeURIComponent(owner)}/doc/1024/`)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test("is plain up to the last byte that KV takes, and hashed one byte over it", () => {
    const value = (length: number) => ({ entityType: "t", entityValue: "x".repeat(length) });
    const plain = "default/doc/4/t/".length;
    const longest = documentKey("default", 4, value(KV_MAX_KEY_BYTES - plain));
    expect(longest).toBe(`default/doc/4/t/${"x".repeat(KV_MAX_KEY_BYTES - plain)}`);
    const hashed = documentKey("default", 4, value(KV_MAX_KEY_BYTES - plain + 1));
    expect(hashed).toMatch(/^default\/doc\/4\/t#[0-9a-f]{64}$/);
  });

  test("that is hashed still tells types of the same beginning apart, and where a type ends", () => {
    const long = "語".repeat(MAX_NAME_CHARACTERS);
    const refs = ["x".repeat(500), `${"x".repeat(500)}y`, "x".repeat(128), long, `${long.slice(1)}x`].map(
      (entityType) => ({ entityType, entityValue: long }),
    );
    // The same characters, parted elsewhere.
    refs.push({ entityType: "x".repeat(499), entityValue: `x${long.slice(1)}` });
    refs.push({ entityType: "x".repeat(498), entityValue: `xx${long.slice(1)}` });
    const keys = refs.map((one) => documentKey("t", 4, one));
    expect(new Set(keys).size).toBe(refs.length);
  });
});

describe("an entity key", () => {
  test("gives its entity back, so no two entities share one", () => {
    fc.assert(
      fc.property(ref, (entity) => {
        expect(entityRef(entityKey(entity))).toEqual(entity);
      }),
      { numRuns: 1_000 },
    );
  });

  test("is plain ASCII with one bare slash", () => {
    fc.assert(
      fc.property(ref, (entity) => {
        expect(entityKey(entity)).toMatch(/^[\x21-\x2e\x30-\x7e]+\/[\x21-\x2e\x30-\x7e]+$/);
      }),
    );
  });
});

describe("a partition", () => {
  test("is one of those that there are", () => {
    fc.assert(
      fc.property(
        ref,
        fc.integer({ min: 1, max: 1_024 }),
        fc.integer({ min: 1, max: 64 }),
        (entity, partitions, databases) => {
          const partition = partitionOf(entity, { databases, partitions });
          expect(Number.isInteger(partition) && partition >= 0 && partition < databases * partitions).toBe(
            true,
          );
          expect(databaseOfPartition(partition, partitions)).toBe(databaseOf(entity, databases));
        },
      ),
    );
  });

  // A change here would give every entity another writer.
  test.each([
    ["bright_uid", "user-123", 1, 4, 3],
    ["account_id", "user-123", 1, 4, 3],
    ["bright_uid", "語/😀", 1, 4, 0],
    ["bright_uid", "user-123", 1, 1_024, 407],
    ["bright_uid", "user-123", 2, 4, 3],
    ["bright_uid", "user-123", 64, 4, 103],
    ["account_id", "user-123", 64, 4, 3],
  ])(
    "of %s %s in %i databases of %i never changes",
    (entityType, entityValue, databases, partitions, expected) => {
      expect(partitionOf({ entityType, entityValue }, { databases, partitions })).toBe(expected);
    },
  );

  test("is chosen by FNV-1a as its authors publish it", () => {
    expect(fnv1a("")).toBe(0x811c9dc5);
    expect(fnv1a("a")).toBe(0xe40c292c);
    expect(fnv1a("foobar")).toBe(0xbf9cf968);
  });

  test("is taken by about as many entities as any other", () => {
    for (const databases of [1, 2, 4]) {
      const counts = new Array<number>(4 * databases).fill(0);
      for (let i = 0; i < 1_000 * counts.length; i++) {
        const user = { entityType: "bright_uid", entityValue: `user-${i}` };
        const partition = partitionOf(user, { databases, partitions: 4 });
        counts[partition] = (counts[partition] ?? 0) + 1;
      }
      expect(Math.min(...counts)).toBeGreaterThan(800);
    }
  });
});

describe("a database", () => {
  test.each([
    [1, 1, 0],
    [42, 57, 43],
    [0xdead10cc, 1, 0],
    [0xdead10cc, 666, 361],
    [256, 1_024, 520],
  ])("is chosen by jump consistent hash, as others compute it: %i in %i is %i", (hash, buckets, bucket) => {
    expect(bucketOf(hash, buckets)).toBe(bucket);
  });

  test("more takes its share from all others, between which nothing moves", () => {
    for (const databases of [1, 2, 3, 8, 63]) {
      let moved = 0;
      for (let i = 0; i < 4_000; i++) {
        const [before, after] = [databases, databases + 1].map((n) =>
          databaseOf({ entityType: "user", entityValue: `${i}` }, n),
        );
        if (before === after) continue;
        expect(after).toBe(databases);
        moved += 1;
      }
      expect(moved / (4_000 / (databases + 1))).toBeCloseTo(1, 0);
    }
  });
});

test("objects of one tenant are not those of another", () => {
  const older = { tableId: 7, objectNonce: null };
  const table = { tableId: 7, objectNonce: "9b2e5f0c3c1e4a61" };
  expect(rawTableName("default", older)).toBe("default/raw/7");
  expect(rawTableName("default", table)).toBe("default/raw/7/9b2e5f0c3c1e4a61");
  expect(subscriberName("default", "sub_5f0c")).toBe("default/sub_5f0c");
  expect(statsName("default")).toBe("default/stats");
  expect([rawTableName("a/raw", older), statsName("a/b"), subscriberName("a/b", "sub_1")]).toEqual([
    "a%2Fraw/raw/7",
    "a%2Fb/stats",
    "a%2Fb/sub_1",
  ]);
});

test("a writer's name tells tenant, partitions and partition apart", () => {
  expect(writerName("default", 4, 2)).toBe("default/4/2");
  expect(writerName("a/4", 4, 2)).toBe("a%2F4/4/2");
  const names = [
    writerName("a/4", 4, 2),
    writerName("a", 4, 2),
    writerName("a%2F4", 4, 2),
    writerName("a", 42, 2),
  ];
  expect(new Set(names).size).toBe(names.length);
});
