import { describe, expect, test } from "vitest";
import { type ImportOptions, readArguments } from "../../scripts/import/arguments.ts";
import { batchBody, Gatherer, joined, type RowWrite } from "../../scripts/import/requests.ts";
import { type Mapping, rowToWrite } from "../../scripts/import/row-to-write.ts";
import { faultyRows, Sender } from "../../scripts/import/send-rows.ts";
import { summaryText } from "../../scripts/import/summary.ts";
import { type Reject, Tally } from "../../scripts/import/tally.ts";
import type { Answer } from "../../scripts/service.ts";
import { rawNumber } from "../../worker/json.ts";

const NEEDED = ["--entity-column", "id", "--timestamp-column", "at", "--category", "profile"];

function optionsOf(...args: string[]): ImportOptions {
  const options = readArguments([...NEEDED, ...args]);
  if ("fault" in options) throw new Error(options.fault);
  return options;
}

const mapping: Mapping = optionsOf("--file", "a.csv").mapping;

describe("the arguments", () => {
  test("without the optional ones they are the defaults", () => {
    expect(optionsOf("--file", "a.csv", "b.parquet", "--file", "c.csv")).toEqual({
      url: "http://localhost:8787",
      key: null,
      files: ["a.csv", "c.csv", "b.parquet"],
      format: null,
      delimiter: ",",
      types: new Map(),
      zone: null,
      mapping: {
        entityType: "bright_uid",
        entityColumn: "id",
        time: { column: "at", reading: { unit: null, zone: null } },
        category: "profile",
        features: null,
        mode: "merge",
        nulls: "write",
      },
      ttlSeconds: null,
      rate: null,
      concurrency: 4,
      rejects: null,
      isDryRun: false,
    });
  });

  test("types, features and one time for all are read", () => {
    const args = ["--entity-column", "id", "--event-timestamp", "2026-01-01T00:00:00Z", "--category", "c"];
    expect(
      readArguments([...args, "a.csv", "--features", "a, b,a", "--types", "a:b:string,c: array<int64>"]),
    ).toMatchObject({
      types: new Map([
        ["a:b", "string"],
        ["c", "array<int64>"],
      ]),
      mapping: { features: ["a", "b"], time: { at: Date.UTC(2026, 0) * 1_000 } },
    });
  });

  test.each([
    [NEEDED, "--file"],
    [["a.csv", "--entity-column", "id", "--category", "c"], "--timestamp-column"],
    [["a.csv", ...NEEDED, "--event-timestamp", "2026-01-01T00:00:00Z"], "--timestamp-column"],
    [["a.csv", "--timestamp-column", "at", "--category", "c"], "--entity-column"],
    [["a.csv", "--timestamp-column", "at", "--entity-column", "at", "--category", "c"], "both"],
    [["a.csv", "--entity-column", "id", "--timestamp-column", "at"], "--category"],
    [["a.csv", "--entity-column", "id", "--timestamp-column", "at", "--category", "a:b"], "--category"],
    [["a.csv", "--entity-column", "id", "--event-timestamp", "2026-01-01", "--category", "c"], "ISO 8601"],
    [["a.csv", ...NEEDED, "--mode", "upsert"], "--mode"],
    [["a.csv", ...NEEDED, "--nulls", "drop"], "--nulls"],
    [["a.csv", ...NEEDED, "--format", "orc"], "--format"],
    [["a.csv", ...NEEDED, "--zone", "Europe/Berlin"], "--zone"],
    [["a.csv", ...NEEDED, "--timestamp-unit", "minutes"], "--timestamp-unit"],
    [["a.csv", ...NEEDED, "--ttl-seconds", "0"], "--ttl-seconds"],
    [["a.csv", ...NEEDED, "--rate", "fast"], "--rate"],
    [["a.csv", ...NEEDED, "--concurrency", "0"], "--concurrency"],
    [["a.csv", ...NEEDED, "--types", "zip"], "--types"],
    [["a.csv", ...NEEDED, "--types", "zip:text"], "--types"],
    [["a.csv", ...NEEDED, "--features", "a,,b"], "--features"],
    [["a.csv", ...NEEDED, "--delimiter", '"'], "--delimiter"],
    [["a.csv", ...NEEDED, "--delimiter", ";;"], "--delimiter"],
    [["a.csv", ...NEEDED, "--entity-type", ""], "--entity-type"],
    [["a.csv", ...NEEDED, "--url", "localhost"], "--url"],
    [["a.csv", ...NEEDED, "--key", ""], "--key"],
    [["a.csv", ...NEEDED, "--key", "fs_a\nb"], "--key"],
    [["a.csv", ...NEEDED, "--key", "fs_a…"], "--key"],
    [["a.csv", "a.csv", ...NEEDED], "twice"],
    [["a.csv", ...NEEDED, "--types", "at:int64"], "--types"],
    [["a.csv", ...NEEDED, "--speed", "9"], "--speed"],
  ])("%j is refused, naming it", (args, named) => {
    expect(readArguments(args)).toMatchObject({ fault: expect.stringContaining(named) });
  });

  test.each([
    "http://me:hunter2@store.example",
    "https://hunter2@store.example/",
    "htps:me:hunter2@store.example",
  ])("%s, an address with a password, is refused and not shown", (url) => {
    const { fault = "" } = { fault: "", ...readArguments(["a.csv", ...NEEDED, "--url", url]) };
    expect(fault).toContain("--url must have no user and no password");
    expect(fault).not.toContain("hunter2");
  });
});

describe("a row", () => {
  const AT = "2026-01-01T00:00:00Z";
  const written = (row: Record<string, unknown>, more: Partial<Mapping> = {}) =>
    rowToWrite(new Map(Object.entries(row)), { ...mapping, ...more });

  test("is a write of all other columns, at its time", () => {
    const row = { id: "u", at: AT, big: rawNumber("9007199254740993"), n: null, list: [1] };
    expect(written(row)).toMatchObject({
      kind: "write",
      entity: "u",
      eventTime: Date.UTC(2026, 0) * 1_000,
      features: { data: '{"big":9007199254740993,"n":null,"list":[1]}' },
    });
  });

  test.each([
    [7, "7"],
    [rawNumber("9007199254740993"), "9007199254740993"],
    ["Zürich", "Zürich"],
  ])("an entity %j is %s", (id, entity) => {
    expect(written({ id, at: AT, a: 1 })).toMatchObject({ kind: "write", entity });
  });

  test.each([
    [{ at: AT }, "id is empty"],
    [{ id: "", at: AT }, "id is empty"],
    [{ id: 1.5, at: AT }, "id must be a text or a whole number, found number"],
    [{ id: true, at: AT }, "id must be a text or a whole number, found boolean"],
    [{ id: "a\nb", at: AT }, "id must not contain control characters"],
    [{ id: "x".repeat(513), at: AT }, "id must have at most 512 characters"],
    [{ id: "u" }, "at is empty"],
    [{ id: "u", at: AT, "": 1 }, "the feature name must not be empty"],
    [{ id: "u", at: AT, a: "x".repeat(1024 * 1024) }, "must have at most 1048576 bytes"],
  ])("%j is refused: %s", (row, reason) => {
    expect(written(row)).toEqual({ kind: "rejected", reason: expect.stringContaining(reason) });
  });

  test("a null is written unless it shall be skipped, and a missing column never is", () => {
    const row = { id: "u", at: AT, a: null, b: 1 };
    const features = ["a", "b", "c"];
    expect(written(row, { features })).toMatchObject({ features: { data: '{"a":null,"b":1}' } });
    expect(written(row, { features, nulls: "skip" })).toMatchObject({ features: { data: '{"b":1}' } });
  });

  test("without any value it is passed over, unless it replaces", () => {
    const row = { id: "u", at: AT, a: null };
    expect(written(row, { nulls: "skip" })).toEqual({ kind: "empty" });
    expect(written(row, { nulls: "skip", mode: "replace" })).toMatchObject({ kind: "write" });
  });
});

function rowAt(place: number, more: Partial<RowWrite> = {}): RowWrite {
  const values = more.values ?? { place };
  const data = JSON.stringify(values);
  const rows = [{ place, raw: { place } }];
  return { file: "a.csv", entity: `u${place}`, eventTime: place * 1_000_000, values, data, rows, ...more };
}
const placesOf = (writes: readonly RowWrite[] | null | undefined) =>
  writes?.map(({ rows }) => rows.map(({ place }) => place));

const BODY = { entityType: "user", category: "profile", mode: "merge", ttlSeconds: null } as const;

describe("requests", () => {
  test("rows are gathered up to a number and a size, and go newest first", () => {
    const gatherer = new Gatherer("merge");
    const full = Array.from({ length: 1_200 }, (_, i) => gatherer.add(rowAt(i))).filter((writes) => writes);
    expect(full.map((writes) => writes?.length)).toEqual([500, 500]);
    expect(placesOf(full[0]?.slice(0, 2))).toEqual([[499], [498]]);
    expect(gatherer.end()).toHaveLength(200);
    expect(gatherer.end()).toBe(null);

    const large = { data: "x".repeat(1_200_000) };
    expect(gatherer.add(rowAt(1, large))).toBe(null);
    expect(gatherer.add(rowAt(2, large))).toHaveLength(1);
  });

  test("rows of one entity and time are one write, in which the later one counts", () => {
    const same = { entity: "u", eventTime: 5 };
    const big = rawNumber("9007199254740993");
    const added = [
      rowAt(1, { ...same, values: { a: 1, b: big } }),
      rowAt(2, { ...same, entity: "v", values: { a: 2 } }),
      rowAt(3, { ...same, values: JSON.parse('{"a":3,"__proto__":4}') }),
    ];
    const gathered = (mode: "merge" | "replace") => {
      const gatherer = new Gatherer(mode);
      for (const write of added) gatherer.add(write);
      const writes = gatherer.end() ?? [];
      return writes.map(({ data, rows }) => [data, rows.map(({ place }) => place)]);
    };
    expect(gathered("merge")).toEqual([
      ['{"a":3,"b":9007199254740993,"__proto__":4}', [1, 3]],
      ['{"a":2}', [2]],
    ]);
    expect(gathered("replace")).toEqual([
      ['{"a":3,"__proto__":4}', [1, 3]],
      ['{"a":2}', [2]],
    ]);
  });

  test("however many rows one entity has at one time, they cost what as many entities cost", () => {
    const gatherer = new Gatherer("merge");
    const startMs = performance.now();
    for (let place = 0; place < 100_000; place++) {
      gatherer.add(rowAt(place, { entity: "u", eventTime: 5, values: { [`f${place}`]: 1 } }));
    }
    expect(gatherer.end()?.[0]?.rows.length).toBeGreaterThan(10_000);
    expect(performance.now() - startMs).toBeLessThan(10_000);
  });

  test("a body is one that the route takes, with the options of all rows", () => {
    const body = batchBody([rowAt(1)], { ...BODY, mode: "replace", ttlSeconds: 60 });
    expect(JSON.parse(body)).toEqual({
      metadata: { source: "prediction_service", mode: "replace", ttl_seconds: 60 },
      data: [
        {
          entity_type: "user",
          entity_value: "u1",
          feature_list: [
            {
              category: "profile",
              features: { place: 1 },
              event_timestamp: "1970-01-01T00:00:01.000000+00:00",
            },
          ],
        },
      ],
    });
    expect(batchBody([rowAt(1), rowAt(2)], BODY).split("\n")).toHaveLength(4);
  });
});

describe("sending", () => {
  type Result = { outcome: string; reason?: { type: string; detail: string } };

  interface Asked {
    entities: string[];
    features: unknown[];
    answer: (answer: Partial<Answer> & { results?: Result[] }) => void;
  }

  function sending(more: Partial<ConstructorParameters<typeof Sender>[0]> = {}) {
    const asked: Asked[] = [];
    const rejected: Reject[] = [];
    const tally = new Tally();
    const postText = (_: string, text: string) =>
      new Promise<Answer>((resolve) => {
        const { data } = JSON.parse(text) as {
          data: { entity_value: string; feature_list: { features: unknown }[] }[];
        };
        asked.push({
          entities: data.map(({ entity_value }) => entity_value),
          features: data.map(({ feature_list: [only] }) => only?.features),
          answer: ({ results, ...rest }) => {
            const all = results ?? data.map(() => ({ outcome: "applied" }));
            const body = { results: all.map((result) => ({ entity_value: "u", ...result })) };
            resolve({ status: 200, body, ...rest });
          },
        });
      });
    const sender = new Sender({
      service: { postText },
      tally,
      concurrency: 2,
      rate: null,
      options: BODY,
      reject: (one) => {
        rejected.push(one);
        tally.reject(one);
      },
      settled: () => {},
      ...more,
    });
    return { asked, rejected, tally, sender };
  }

  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const refused = { outcome: "rejected", reason: { type: "type_mismatch", detail: "wrong type" } };

  test("no more requests than allowed are under way", async () => {
    const { asked, sender } = sending();
    await sender.send([rowAt(1)]);
    await sender.send([rowAt(2)]);
    const third = sender.send([rowAt(3)]);
    await turn();
    expect(asked).toHaveLength(2);
    asked[1]?.answer({});
    await third;
    expect(asked.map(({ entities }) => entities)).toEqual([["u1"], ["u2"], ["u3"]]);
  });

  test("a request waits for one that has the same entity at the same time, and for no other", async () => {
    const { asked, sender } = sending({ concurrency: 9 });
    await sender.send([rowAt(1, { entity: "u", eventTime: 5 })]);
    await sender.send([rowAt(2, { entity: "u", eventTime: 6 }), rowAt(3, { entity: "v", eventTime: 5 })]);
    const third = sender.send([rowAt(4, { entity: "u", eventTime: 5 })]);
    await turn();
    expect(asked).toHaveLength(2);
    asked[0]?.answer({});
    await third;
    expect(asked).toHaveLength(3);
  });

  test("rows are counted by what became of them, refused ones with their place and reason", async () => {
    const { asked, rejected, tally, sender } = sending();
    const joined = { ...rowAt(4), rows: [...rowAt(4).rows, ...rowAt(5).rows] };
    await sender.send([rowAt(1), rowAt(2), rowAt(3), joined, { ...joined, entity: "u6" }]);
    asked[0]?.answer({
      results: [
        { outcome: "applied" },
        { outcome: "stale" },
        { outcome: "duplicate" },
        refused,
        { outcome: "stale" },
      ],
    });
    await sender.end();
    expect(tally.outcomes).toEqual({ applied: 1, stale: 3, duplicate: 1 });
    expect(rejected).toEqual([
      { file: "a.csv", place: 4, reason: "wrong type", row: { place: 4 } },
      { file: "a.csv", place: 5, reason: "wrong type", row: { place: 5 } },
    ]);
  });

  test("of rows that were joined only those are rejected that are at fault, and the later ones still count", async () => {
    const { asked, rejected, tally, sender } = sending();
    const same = { entity: "u", eventTime: 5 };
    const parts = [1, 2, 3].map((place) => rowAt(place, { ...same, values: { a: place } }));
    await sender.send([joined(parts, "merge"), rowAt(9)]);
    asked[0]?.answer({ results: [refused, { outcome: "applied" }] });
    await turn();
    asked[1]?.answer({ results: [refused] });
    await turn();
    asked[2]?.answer({});
    await turn();
    asked[3]?.answer({ results: [refused] });
    await turn();
    asked[4]?.answer({});
    await sender.end();
    expect(asked.map(({ features }) => features)).toEqual([
      [{ a: 3 }, { place: 9 }],
      [{ a: 2 }],
      [{ a: 1 }],
      [{ a: 2 }],
      [{ a: 3 }],
    ]);
    expect(rejected.map(({ place }) => place)).toEqual([2]);
    expect(tally.outcomes.applied).toBe(3);
  });

  test("a request that is refused for some of its rows comes again without them", async () => {
    const { asked, rejected, tally, sender } = sending();
    await sender.send([rowAt(1), rowAt(2), rowAt(3)]);
    const loc = ["body", "data", 1, "feature_list", 0, "features"];
    asked[0]?.answer({ status: 422, body: { errors: [{ loc, msg: "must have at most …", type: "x" }] } });
    await turn();
    asked[1]?.answer({});
    await sender.end();
    expect(asked.map(({ entities }) => entities)).toEqual([
      ["u1", "u2", "u3"],
      ["u1", "u3"],
    ]);
    expect(rejected).toMatchObject([{ place: 2, reason: "feature_list.0.features must have at most …" }]);
    expect(tally.outcomes.applied).toBe(2);
  });

  test("one that is refused without saying for which comes again by halves", async () => {
    const { asked, rejected, sender } = sending();
    await sender.send([rowAt(1), rowAt(2)]);
    asked[0]?.answer({ status: 413, body: { detail: "too large" } });
    await turn();
    asked[1]?.answer({});
    await turn();
    asked[2]?.answer({ status: 413, body: { detail: "too large" } });
    await sender.end();
    expect(asked.map(({ entities }) => entities)).toEqual([["u1", "u2"], ["u1"], ["u2"]]);
    expect(rejected).toMatchObject([{ place: 2, reason: "413 too large" }]);
  });

  test.each([
    [{ status: 401, body: { detail: "no such key" } }, "401 no such key"],
    [{ status: 200, body: "<html>" }, "200"],
    [{ results: [] }, "0 results for 1 rows"],
    [
      { status: 422, body: { errors: [{ loc: ["body", "metadata", "mode"], msg: "?" }], detail: "mode" } },
      "422 mode",
    ],
    [
      {
        results: [
          { outcome: "rejected", reason: { type: "unknown_entity_type", detail: "entity_type: is" } },
        ],
      },
      "The entity type is",
    ],
  ])("%j ends the run: %s", async (answer, message) => {
    const { asked, rejected, sender } = sending();
    await sender.send([rowAt(1)]);
    asked[0]?.answer(answer);
    await expect(sender.end()).rejects.toThrow(message);
    await expect(sender.send([rowAt(2)])).rejects.toThrow(message);
    expect(rejected).toEqual([]);
  });

  test("when thousands of rows are refused and none is taken, the others are not sent", async () => {
    const { asked, sender } = sending();
    for (let request = 0; request < 10; request += 1) {
      const writes = Array.from({ length: 500 }, (_, i) => rowAt(500 * request + i));
      await sender.send(writes);
      asked[request]?.answer({ results: writes.map(() => refused) });
      await turn();
    }
    await expect(sender.end()).rejects.toThrow("The first 5000 rows were all rejected: wrong type");
  });

  test("rows are sent no faster than the rate", async () => {
    const { sender, asked } = sending({ rate: 40, concurrency: 9 });
    const startMs = performance.now();
    for (const place of [1, 5, 9]) await sender.send([0, 1, 2, 3].map((i) => rowAt(place + i)));
    expect(performance.now() - startMs).toBeGreaterThan(195);
    for (const { answer } of asked) answer({});
    await sender.end();
  });

  test("a problem elsewhere than in the rows names none of them", () => {
    expect(faultyRows({ body: { errors: [{ loc: ["header", "X-API-Key"], msg: "" }] } })).toBe("elsewhere");
    expect(faultyRows({ body: null })).toEqual(new Map());
  });
});

test("the summary says what became of the rows, and the most common reasons first", () => {
  const tally = new Tally();
  Object.assign(tally.outcomes, { applied: 3, stale: 4, duplicate: 1 });
  tally.empty = 1;
  for (const [place, reason] of [
    [1, "b"],
    [2, "a"],
    [3, "a"],
  ] as const) {
    tally.reject({ file: "f.csv", place, reason, row: null });
  }
  expect(summaryText(tally, { seconds: 2, unitOf: () => "line" })).toBe(
    `12 rows in 2.0 s: 6 a second.
Written: 3 became current, 4 were older than that and are in the history (unless deleted since), 1 were current already.
Without a value: 1.
Rejected: 3
  2 × a (first in f.csv, line 2)
  1 × b (first in f.csv, line 1)`,
  );
});

test("reasons that are all different do not fill the memory", () => {
  const tally = new Tally();
  for (let place = 1; place <= 1_000; place += 1) {
    tally.reject({ file: "f.csv", place, reason: `reason ${place}`, row: null });
  }
  expect(tally.reasons.size).toBe(101);
  expect(tally.reasons.get("other reasons")?.count).toBe(900);
});
