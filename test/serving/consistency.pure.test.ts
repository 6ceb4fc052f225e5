import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { entityKey } from "../../worker/keys.ts";
import {
  ANY_REVISION,
  type Bookmarks,
  both,
  type Consistency,
  type ConsistencyToken,
  decodeToken,
  encodeToken,
  newestBookmark,
  newestOfEach,
  PRIMARY,
  type Requirement,
  requirementOf,
  sessionStart,
} from "../../worker/serving/consistency.ts";

const KEY = "bright_uid/user-123";
const BOOKMARK = "00000085-0000024c-00004c6d-8e61117bf38d7adb71b934ebbf891683";
const IN_FIRST: Bookmarks = new Map([[0, BOOKMARK]]);
const UNKNOWN: Bookmarks = new Map([[0, null]]);

const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length });
const bookmark = fc.option(fc.tuple(hex(8), hex(8), hex(8), hex(32)).map((groups) => groups.join("-")));
/** A tilde stands bare in a key, and is what base64 writes as `+`. */
const text = fc.oneof(
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 300 }),
  fc.constantFrom("~", "~~", "~~~"),
);
const entity = fc.record({
  key: fc.tuple(text, text).map(([entityType, entityValue]) => entityKey({ entityType, entityValue })),
  revision: fc.maxSafeNat(),
});
const bookmarks: fc.Arbitrary<Bookmarks> = fc.oneof(
  bookmark.map((one) => new Map([[0, one]])),
  fc.array(fc.tuple(fc.nat({ max: 63 }), bookmark), { maxLength: 5 }).map((pairs) => new Map(pairs)),
);
const token: fc.Arbitrary<ConsistencyToken> = fc.record({ entity: fc.option(entity), bookmarks });

/** Text in the dress of a token. */
const dressed = (text: string) => btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

describe("a token", () => {
  test("says what was put into it, and stands in a header as it is", () => {
    fc.assert(
      fc.property(token, (given) => {
        const text = encodeToken(given);
        expect(text).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(decodeToken(text)).toEqual(given);
      }),
      { numRuns: 500 },
    );
  });

  test("that is garbage is none, and never an error", () => {
    const base64 = fc.string({ unit: fc.constantFrom(..."ABCdef019-_+/= "), maxLength: 60 });
    // Three parts may be a token.
    const other = fc
      .jsonValue({ maxDepth: 1 })
      .filter((value) => !Array.isArray(value) || value.length !== 3);
    const json = other.map((value) => dressed(JSON.stringify(value).replaceAll(/[^\x20-\x7e]/g, "?")));
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: "binary" }), base64, json), (text) => {
        expect(decodeToken(text)).toBeNull();
      }),
      { numRuns: 100 },
    );
  });

  test("of ours that was cut or changed is another token or none, and never an error", () => {
    fc.assert(
      fc.property(token, fc.nat(), fc.constantFrom("", "A", "_", "é", "%"), (given, position, inserted) => {
        const text = encodeToken(given);
        const at = position % text.length;
        const decoded = decodeToken(text.slice(0, at) + inserted + text.slice(at + 1));
        if (decoded?.entity) expect(Number.isSafeInteger(decoded.entity.revision)).toBe(true);
        for (const one of decoded?.bookmarks.values() ?? []) expect(one ?? "0").toMatch(/^[0-9a-f-]+$/i);
      }),
    );
  });

  test.each([
    ["", "nothing"],
    [dressed("null"), "null"],
    [dressed("{}"), "an object"],
    [dressed("[]"), "no parts"],
    [dressed(`["${KEY}",1]`), "two parts"],
    [dressed(`["${KEY}",1,null,null]`), "four parts"],
    [dressed(`["${KEY}",null,null]`), "a key without a revision"],
    [dressed("[null,1,null]"), "a revision without a key"],
    [dressed(`["${KEY}","1",null]`), "a revision that is text"],
    [dressed(`["${KEY}",1.5,null]`), "half a revision"],
    [dressed(`["${KEY}",9007199254740993,null]`), "a revision that no number holds"],
    [dressed("[7,1,null]"), "a key that is a number"],
    [dressed("[null,null,7]"), "a bookmark that is a number"],
    [dressed('[null,null,""]'), "an empty bookmark"],
    [dressed('[null,null,"first-primary"]'), "a bookmark that is none of D1's"],
    [dressed('[null,null,"0\' OR 1"]'), "a bookmark with other characters"],
    [dressed(`[null,null,"${"0".repeat(201)}"]`), "a bookmark that is too long"],
    [dressed(`[null,null,["${BOOKMARK}"]]`), "a bookmark of no database"],
    [dressed(`[null,null,[["1","${BOOKMARK}"]]]`), "a database that is text"],
    [dressed('[null,null,[[1,"first-primary"]]]'), "a bookmark of a database that is none of D1's"],
    [
      dressed(JSON.stringify([null, null, Array.from({ length: 65 }, (_, i) => [i, null])])),
      "too many databases",
    ],
  ])("%s is none: it holds %2$s", (text) => {
    expect(decodeToken(text)).toBeNull();
  });
});

describe("a read", () => {
  const ofThis: ConsistencyToken = { entity: { key: KEY, revision: 7 }, bookmarks: IN_FIRST };
  const ofAnother: ConsistencyToken = {
    entity: { key: "account_id/user-123", revision: 7 },
    bookmarks: IN_FIRST,
  };
  const ofMany: ConsistencyToken = { entity: null, bookmarks: IN_FIRST };
  const atRevision = { kind: "revision", revision: 7, after: [IN_FIRST] };
  const atBookmark = { kind: "database", after: [IN_FIRST] };

  test.each<[Consistency, string, ConsistencyToken | null, unknown]>([
    ["edge", "no token", null, ANY_REVISION],
    ["edge", "a token of this entity", ofThis, ANY_REVISION],
    ["edge", "a token of a bulk write", ofMany, ANY_REVISION],
    ["strong", "no token", null, PRIMARY],
    ["strong", "a token of this entity", ofThis, PRIMARY],
    ["session", "no token", null, ANY_REVISION],
    ["session", "a token of this entity", ofThis, atRevision],
    [
      "session",
      "a token without a bookmark",
      { ...ofThis, bookmarks: UNKNOWN },
      { ...atRevision, after: [UNKNOWN] },
    ],
    ["session", "a token of another entity", ofAnother, atBookmark],
    ["session", "a token of a bulk write", ofMany, atBookmark],
    ["session", "an empty token", { entity: null, bookmarks: new Map() }, PRIMARY],
  ])("of consistency %s with %s has its requirement", (consistency, _, given, expected) => {
    expect(requirementOf(consistency, given, KEY)).toEqual(expected);
  });

  // The reader looks for this very object before it asks what its isolate has written.
  test("that may be of any revision gets ANY_REVISION itself", () => {
    expect(requirementOf("edge", ofThis, KEY)).toBe(ANY_REVISION);
    expect(requirementOf("session", null, KEY)).toBe(ANY_REVISION);
  });
});

describe("what a caller asks for and what its isolate has written", () => {
  const past = (...names: (string | null)[]) => names.map((one) => new Map([[0, one]]));
  const revision = (revision: number, bookmark: string): Requirement => ({
    kind: "revision",
    revision,
    after: past(bookmark),
  });
  const database = (...names: string[]): Requirement => ({ kind: "database", after: past(...names) });
  test.each<[Requirement, Requirement, Requirement]>([
    [ANY_REVISION, ANY_REVISION, ANY_REVISION],
    [ANY_REVISION, revision(2, "b"), revision(2, "b")],
    [revision(2, "b"), ANY_REVISION, revision(2, "b")],
    [revision(2, "b"), revision(3, "c"), revision(3, "c")],
    [revision(3, "c"), revision(2, "b"), revision(3, "c")],
    [PRIMARY, revision(2, "b"), { kind: "database", after: [...PRIMARY.after, ...past("b")] }],
    [database("b"), ANY_REVISION, database("b")],
    [database("b"), revision(1, "c"), database("b", "c")],
  ])("%j and %j are both satisfied by %j", (asked, own, expected) => {
    expect(both(asked, own)).toEqual(expected);
  });
});

test.each<[string | null, (string | null)[]]>([
  [null, []],
  [null, [null, null]],
  ["00000001-b", ["00000001-b"]],
  ["00000002-a", ["00000001-b", "00000002-a", "00000001-c"]],
  // What is not known may be newer than all others: only the primary has it.
  [null, ["00000001-b", null]],
  [null, [null, "00000001-b", "00000002-a"]],
])("the newest bookmark is %j of %j", (newest, bookmarks) => {
  expect(newestBookmark(bookmarks)).toBe(newest);
});

test("of several writes each database has its newest bookmark, and none where one of them is not known", () => {
  const writes: Bookmarks[] = [
    new Map([
      [0, "00000001-a"],
      [1, "00000009-a"],
    ]),
    new Map([
      [0, "00000002-a"],
      [2, null],
    ]),
    new Map([[2, "00000003-a"]]),
  ];
  expect([...newestOfEach(writes)]).toEqual([
    [0, "00000002-a"],
    [1, "00000009-a"],
    [2, null],
  ]);
  expect(newestOfEach([])).toEqual(new Map());
});

describe("a session of a database starts", () => {
  const write = (...pairs: [number, string | null][]): Requirement => ({
    kind: "database",
    after: [new Map(pairs)],
  });
  test.each<[string, Requirement[], number]>([
    ["first-unconstrained", [], 0],
    ["first-unconstrained", [ANY_REVISION, ANY_REVISION], 1],
    ["first-primary", [PRIMARY], 0],
    ["first-primary", [ANY_REVISION, PRIMARY], 1],
    ["b", [ANY_REVISION, write([0, "b"])], 0],
    ["c", [write([0, "b"]), write([0, "c"])], 0],
    ["d", [write([0, "b"], [1, "d"])], 1],
    ["first-primary", [write([0, "b"]), write([0, null])], 0],
    ["first-primary", [write([0, "b"])], 1],
    ["first-primary", [write([1, "d"]), write([0, "b"])], 1],
    ["first-primary", [write([0, "b"]), PRIMARY], 0],
  ])("at %s for %j in %i", (start, requirements, database) => {
    expect(sessionStart(requirements, database)).toBe(start);
  });
});
