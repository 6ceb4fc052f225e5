/** Training data: what was true of entities at given times, and known by others. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { app } from "../../worker/app.ts";
import { pointInTimeSql, readPast } from "../../worker/history/point-in-time.ts";
import { decodeToken } from "../../worker/serving/consistency.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { watched } from "../setup/faults.ts";
import { entry, expectProblem, faultPlaces, ORIGIN, post, remove, upsert, WRITER } from "../setup/http.ts";
import { sleep } from "../setup/waiting.ts";
import { ask as askByHand } from "../tenants/service.ts";
import { broken } from "./bucket.ts";
import {
  type Asked,
  type Event,
  eventDrafts,
  inRequests,
  isoOf,
  type Past,
  questionDrafts,
  valueAt,
} from "./oracle.ts";
import {
  askRows,
  event,
  pastOf,
  type Row,
  register,
  type TrainingByEntity,
  type TrainingRows,
  writeAll,
} from "./training.ts";

const ASKED: Asked[] = [
  { name: "a", category: "alpha", stored: "a", ttlSeconds: 10 },
  { name: "b", category: "alpha", stored: "b", ttlSeconds: null },
  { name: "d@1", category: "beta", stored: "d", ttlSeconds: 2.5 },
  { name: "alpha:a", category: "alpha", stored: "a", ttlSeconds: 10 },
  { name: "alpha:c", category: "alpha", stored: "c", ttlSeconds: null },
  { name: "beta:a", category: "beta", stored: "a", ttlSeconds: null },
  { name: "gamma:a", category: "gamma", stored: "a", ttlSeconds: null },
];
const NAMES = ASKED.map(({ name }) => name);

interface Served {
  results: { entity_id: string; features: Record<string, Past> }[];
  timestamp: string;
}

beforeAll(async () => {
  await register("a", { category: "alpha", dtype: "int64", ttl_seconds: 10 });
  await register("b", { category: "alpha" });
  await register("d", { category: "beta", ttl_seconds: 2.5 });
});

describe("for any history, with late, repeated and simultaneous events", () => {
  let runs = 0;

  const expected = (known: readonly Event[], rows: readonly Row[]) =>
    rows.map(({ entity_id, timestamp }) => {
      const at = (asked: Asked) => [asked.name, valueAt(known, asked, entity_id, Date.parse(timestamp))];
      return { entity_id, timestamp, features: Object.fromEntries(ASKED.map(at)) };
    });

  /** The first row that is not the same, byte for byte, as what is expected. */
  function firstDifference(rows: readonly unknown[], wanted: readonly unknown[]) {
    const i = wanted.findIndex((row, at) => JSON.stringify(row) !== JSON.stringify(rows[at]));
    return i < 0 ? "none" : { found: rows[i], wanted: wanted[i] };
  }

  test("an answer is what playing the events back gives, then and now, and never of the future", async () => {
    await fc.assert(
      fc.asyncProperty(eventDrafts, questionDrafts, async (drafts, asked) => {
        runs += 1;
        const baseMs = Date.now() - 60_000;
        const nameOf = (entity: number) => `run-${runs}-${entity}`;
        const events = drafts.map(({ entity, second, ...draft }) => ({
          ...draft,
          ...{ entity: nameOf(entity), atMs: baseMs + second * 1_000 },
        }));
        const rows = asked.map(([entity, half]) => ({
          entity_id: nameOf(entity),
          timestamp: isoOf(baseMs + half * 500),
        }));
        const third = Math.ceil(events.length / 3);
        const earlier: { knownAt: string; text: string }[] = [];
        let written = 0;
        for (const request of inRequests(events, [third, 2 * third])) {
          const knownAt = await writeAll(request);
          written += request.length;
          if (written % third !== 0) continue;
          // Another writer's clock may show the same millisecond a moment later.
          await sleep(2);
          const { body, text } = await askRows(rows, NAMES, { known_at: knownAt });
          expect(firstDifference(body.rows, expected(events.slice(0, written), rows))).toBe("none");
          earlier.push({ knownAt, text });
        }
        const now = await askRows(rows, NAMES);
        expect(firstDifference(now.body.rows, expected(events, rows))).toBe("none");
        for (const { timestamp, features } of now.body.rows) {
          const times = Object.values(features).map((past) => past.timestamp ?? "");
          expect(times.filter((time) => time > timestamp)).toEqual([]);
        }
        for (const { knownAt, text } of earlier) {
          expect((await askRows(rows, NAMES, { known_at: knownAt })).text === text).toBe(true);
        }
        await expectServedAlike([0, 1, 2, 3, 4, 5].map(nameOf));
      }),
      // Shrinking would take minutes of requests; the failed comparison shows what differs.
      { numRuns: 20, endOnFailure: true },
    );
  });

  /** Training data of a moment are what the online read answered at it: no skew between training and serving. */
  async function expectServedAlike(ids: string[]): Promise<void> {
    const asked = { entity_ids: ids, feature_names: NAMES, entity_type: "user" };
    const { body: served } = await post<Served>("/features/online", { ...asked, consistency: "strong" });
    const { timestamp } = served;
    const { body: trained } = await post<TrainingByEntity>("/features/batch", { ...asked, timestamp });
    for (const { entity_id, features } of served.results) {
      const same = Object.entries(features).map(([name, { value, timestamp, status }]) => {
        return [name, { value, timestamp, status }];
      });
      expect(Object.fromEntries(same)).toEqual(trained.features[entity_id]);
    }
  }
});

describe("a point in time", () => {
  const atMs = Date.now() - 3_600_000;

  test("has what a later replacement dropped until then, and not from then on", async () => {
    await writeAll([
      event("dropped", { a: 1, b: 2, c: 3 }, { atMs }),
      event("dropped", { b: 20 }, { atMs: atMs + 5_000, mode: "merge" }),
      event("dropped", { a: 100 }, { atMs: atMs + 9_000 }),
    ]);
    const names = ["a", "b", "alpha:c"];
    expect(await pastOf("dropped", atMs - 1, names)).toEqual(Array(3).fill("null NOT_FOUND"));
    expect(await pastOf("dropped", atMs, names)).toEqual(["1 PRESENT", "2 PRESENT", "3 PRESENT"]);
    expect(await pastOf("dropped", atMs + 8_999, names)).toEqual(["1 PRESENT", "20 PRESENT", "3 PRESENT"]);
    expect(await pastOf("dropped", atMs + 9_000, names)).toEqual([
      "100 PRESENT",
      "null NOT_FOUND",
      "null NOT_FOUND",
    ]);
  });

  test("judges a TTL at its own time, to the microsecond, and gives a default only where nothing was written", async () => {
    await register("lasting", {
      category: "alpha",
      dtype: "int64",
      ttl_hours: 1 / 3600,
      default_value: "9007199254740993",
    });
    await writeAll([event("ttl", { lasting: 7 }, { atMs })]);
    expect(await pastOf("ttl", atMs + 1_000, ["lasting"])).toEqual(["7 PRESENT"]);
    const late = { entity_id: "ttl", timestamp: isoOf(atMs + 1_000).replace("000+", "001+") };
    const { body } = await askRows([late], ["lasting"]);
    expect(body.rows[0]?.features.lasting).toEqual({
      value: null,
      timestamp: isoOf(atMs),
      status: "OUTSIDE_MAX_AGE",
    });
    const { text } = await askRows([{ ...late, entity_id: "nobody" }], ["lasting"]);
    expect(text).toContain('"lasting":{"value":9007199254740993,"timestamp":null,"status":"NOT_FOUND"}');
  });

  test("is answered for every name, also one that is registered nowhere or for another entity type", async () => {
    await register("of_account", { entity_type: "account_id" });
    await writeAll([event("names", { a: 1, of_account: 2 }, { atMs })]);
    expect(
      await pastOf("names", atMs, ["a", "a@2", "nobody_knows", "of_account", "alpha:of_account"]),
    ).toEqual([...["1 PRESENT", "null NOT_FOUND", "null NOT_FOUND", "null NOT_FOUND", "2 PRESENT"]]);
  });

  test.each([
    ["short", 1],
    ["longer than is sent whole", 400],
  ])("knows a feature by any name, in data that are %s", async (_, fillers) => {
    const odd = [
      "__proto__",
      'a"b',
      "a\\b",
      "a.b",
      "$",
      "$.a",
      "[0]",
      "0",
      "ä😀",
      "a'b",
      "#-1",
      " ",
      "*x",
      "a:b",
    ];
    const values = [
      "9007199254740993",
      "-9223372036854775808",
      '{"k":[1,{"__proto__":null}]}',
      "null",
      "false",
      '"text"',
      "1.5",
    ];
    const pairs = odd.map((name, i) => `${JSON.stringify(name)}:${values[i % values.length]}`);
    const filler = Array.from({ length: fillers }, (_, i) => `"filler_${i}":"0123456789"`);
    const entity = `odd-${fillers}`;
    const list = (features: string, second: number) =>
      `{"category":"alpha","mode":"merge","event_timestamp":"${isoOf(atMs + second * 1_000)}","features":${features}}`;
    for (const [second, features] of [`{${[...pairs, ...filler].join(",")}}`, '{"newer":1}'].entries()) {
      const data = `{"entity_type":"user","entity_value":"${entity}","feature_list":[${list(features, second)}]}`;
      const { status } = await post("/items", `{"metadata":{"source":"prediction_service"},"data":${data}}`);
      expect(status).toBe(200);
    }
    // At the first second from the newest row, at the next from one behind it.
    for (const second of [0, 1]) {
      const row = { entity_id: entity, timestamp: isoOf(atMs + second * 1_000) };
      const { text } = await askRows(
        [row],
        odd.map((name) => `alpha:${name}`),
      );
      odd.forEach((name, i) => {
        expect(text).toContain(
          `${JSON.stringify(`alpha:${name}`)}:{"value":${values[i % values.length]},"timestamp"`,
        );
      });
    }
  });

  test("of a deleted category or entity has nothing, whatever the time", async () => {
    await writeAll([
      event("gone", { a: 1 }, { atMs }),
      event("gone", { d: 1 }, { atMs, category: "beta" }),
      event("gone", { a: 2 }, { atMs: atMs + 1_000 }),
    ]);
    const names = ["alpha:a", "beta:d"];
    expect((await remove("/entities/user/gone/alpha")).body).toMatchObject({ removed: { history: 2 } });
    expect(await pastOf("gone", atMs + 2_000, names)).toEqual(["null NOT_FOUND", "1 PRESENT"]);
    expect((await remove("/entities/user/gone")).body).toMatchObject({ removed: { history: 1 } });
    expect(await pastOf("gone", atMs + 2_000, names)).toEqual(["null NOT_FOUND", "null NOT_FOUND"]);
    // Older than the deletion: not even the past has it.
    await writeAll([event("gone", { a: 3 }, { atMs })]);
    expect(await pastOf("gone", atMs + 2_000, names)).toEqual(["null NOT_FOUND", "null NOT_FOUND"]);
  });
});

describe("POST /features/batch", () => {
  const names = ["a", "b", "alpha:c"];
  const atMs = Date.now() - 7_200_000;
  const ids = ["z", "y", "__proto__", 'q"uote', "z"];
  const at = isoOf(atMs + 5_000);

  beforeAll(async () => {
    await writeAll(ids.map((entity, i) => event(entity, { a: i, b: i / 2 }, { atMs: atMs + i * 1_000 })));
  });

  test("takes one time for all, and answers by entity, each once, in the order asked", async () => {
    const { status, text, body } = await post<TrainingByEntity>("/features/batch", {
      ...{ entity_ids: ids, feature_names: names, timestamp: at },
    });
    expect(status).toBe(200);
    expect(text.match(/"(z|y|__proto__|q\\"uote)":\{"a"/g)).toHaveLength(4);
    expect(Object.keys(body)).toEqual(["features", "timestamp", "count"]);
    expect([body.timestamp, body.count]).toEqual([at, 4]);
    expect(Object.entries(body.features).map(([id, { a }]) => [id, a?.value])).toEqual([
      ...[
        ["z", 4],
        ["y", 1],
        ["__proto__", 2],
        ['q"uote', 3],
      ],
    ]);
  });

  test("takes a time for each row, and answers the rows as they were asked, repeated ones too", async () => {
    const rows = ids.map((entity_id, i) => ({ entity_id, timestamp: isoOf(atMs + i * 1_000 + 500) }));
    const asked = [...rows, ...rows.toReversed()];
    const { body } = await askRows(asked, names);
    expect(body.count).toBe(asked.length);
    expect(body.rows.map(({ entity_id, timestamp }) => ({ entity_id, timestamp }))).toEqual(asked);
    const values = body.rows.map(({ features }) => features.a?.value);
    expect(values).toEqual([0, 1, 2, 3, 4, 4, 3, 2, 1, 0]);
    expect(body.rows[0]?.features).toEqual({
      a: { value: 0, timestamp: isoOf(atMs), status: "PRESENT" },
      b: { value: 0, timestamp: isoOf(atMs), status: "PRESENT" },
      "alpha:c": { value: null, timestamp: null, status: "NOT_FOUND" },
    });
  });

  test("streams the same rows as NDJSON, one a line", async () => {
    const rows = Array.from({ length: 200 }, (_, i) => ({
      entity_id: ids[i % 5] ?? "",
      timestamp: isoOf(atMs + i * 40),
    }));
    const json = await askRows(rows, names);
    const lines = await askRows(rows, names, {}, { accept: "application/x-ndjson" });
    expect(lines.headers.get("content-type")).toBe("application/x-ndjson");
    expect(lines.text.endsWith("\n")).toBe(true);
    expect(`{"rows":[${lines.text.trimEnd().split("\n").join(",")}],"count":200}`).toBe(json.text);
    const one = { entity_ids: ["z"], feature_names: names, timestamp: at };
    const { text } = await post("/features/batch", one, { accept: "application/x-ndjson" });
    expect(text).toBe(
      `${JSON.stringify((await askRows([{ entity_id: "z", timestamp: at }], names)).body.rows[0])}\n`,
    );
  });

  test("is refused where an answer could not hold it, and streamed as lines all the same", async () => {
    const large = "x".repeat(1_000_000);
    const data = {
      entity_type: "user",
      entity_value: "large",
      feature_list: [{ category: "alpha", features: { large } }],
    };
    expect((await post("/items", { metadata: WRITER, data })).status).toBe(200);
    const rows = Array(40).fill({ entity_id: "large", timestamp: isoOf(Date.now() + 60_000) });
    for (const accept of ["application/json", "application/vnd.apache.parquet"]) {
      const { errors } = expectProblem(await askRows(rows, ["alpha:large"], {}, { accept }), 422);
      expect(errors?.map(({ type }) => type)).toEqual(["answer_too_large"]);
    }
    // Names are as much of an answer as values.
    const long = Array.from({ length: 50 }, (_, i) => `alpha:${"😀".repeat(505)}${i}`);
    const many = Array(1_000).fill({ entity_id: "nobody", timestamp: at });
    expectProblem(await askRows(many, long), 422);
    const lines = await askRows(rows, ["alpha:large"], {}, { accept: "application/x-ndjson" });
    expect([lines.status, lines.text.length > 40_000_000]).toEqual([200, true]);
  });

  test("is read from the primary where it asks what was known, which a replica may not have learned yet", async () => {
    const starts: string[] = [];
    const DB = broken(env.DB, "withSession", (start: string) => {
      starts.push(start);
      return env.DB.withSession(start);
    });
    const body = { entity_ids: ["unwritten"], feature_names: names, timestamp: at };
    const started = async (over: object) => {
      starts.splice(0);
      const asked = { body: { ...body, ...over }, env: { ...env, DB, ENVIRONMENT: "development" as const } };
      expect((await askByHand("POST /api/v1/features/batch", asked)).status).toBe(200);
      return starts.at(-1);
    };
    expect(await started({})).toBe("first-unconstrained");
    expect(await started({ known_at: at })).toBe("first-primary");
  });

  test("has the time of the request in each row that has none of its own", async () => {
    await writeAll([event("timed", { a: 1 }, { atMs }), event("timed", { a: 2 }, { atMs: atMs + 2_000 })]);
    const late = isoOf(atMs + 5_000);
    const rows = [{ entity_id: "timed" }, { entity_id: "timed", timestamp: isoOf(atMs + 1_000) }];
    const body = { rows, timestamp: late, feature_names: ["alpha:a"], entity_type: "user" };
    const { body: answer } = await post<TrainingRows>("/features/batch", body);
    expect(answer.rows.map(({ features }) => features["alpha:a"]?.value)).toEqual([2, 1]);
  });

  test("is read in parts where it is too large for one query, and is the same", async () => {
    const wanted = Array.from({ length: 60 }, (_, i) => ({ entity_id: `part-${i % 50}`, timestamp: at }));
    const textOf = (entity: string) => entity.padEnd(500_000, "x");
    for (let i = 0; i < 50; i += 10)
      await writeAll(
        Array.from({ length: 10 }, (_, k) =>
          event(`part-${i + k}`, { large: textOf(`part-${i + k}`), n: i + k }, { atMs }),
        ),
      );
    const names = ["alpha:large", "alpha:n"];
    const json = await askRows(wanted, names);
    expect([json.status, json.body.count]).toEqual([200, 60]);
    for (const [i, { entity_id, features }] of json.body.rows.entries()) {
      expect(entity_id).toBe(wanted[i]?.entity_id);
      expect(features["alpha:n"]?.value).toBe(i % 50);
      expect(features["alpha:large"]?.value === textOf(entity_id)).toBe(true);
    }
    const lines = await askRows(wanted, names, {}, { accept: "application/x-ndjson" });
    expect(`{"rows":[${lines.text.trimEnd().split("\n").join(",")}],"count":60}` === json.text).toBe(true);
  });

  test("takes 1,000 rows of 50 features, and no row and no feature more", async () => {
    const rows = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ entity_id: `many-${i}`, timestamp: at }));
    const features = (count: number) => Array.from({ length: count }, (_, i) => `alpha:f${i}`);
    const data = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`f${i}`, i]));
    await writeAll(rows(1_000).map(({ entity_id }) => event(entity_id, data, { atMs })));
    const { status, body } = await askRows(rows(1_000), features(50));
    expect([status, body.count]).toEqual([200, 1_000]);
    const isWhole = body.rows.map(
      ({ features: found }) => Object.values(found).filter(({ value }, i) => value === i).length,
    );
    expect(isWhole).toEqual(Array(1_000).fill(50));
    const by = (asked: unknown) => post("/features/batch", asked);
    for (const [asked, place] of [
      [{ rows: rows(1_001), feature_names: features(1) }, "body.rows"],
      [{ rows: rows(1), feature_names: features(51) }, "body.feature_names"],
      [
        {
          entity_ids: rows(1_001).map(({ entity_id }) => entity_id),
          feature_names: features(1),
          timestamp: at,
        },
        "body.entity_ids",
      ],
    ] as const) {
      expect(faultPlaces(expectProblem(await by(asked), 422))).toEqual([place]);
    }
  });

  test.each([
    ["neither rows nor entity_ids", { feature_names: names, timestamp: at }, "body.rows"],
    [
      "both",
      { feature_names: names, timestamp: at, entity_ids: ["z"], rows: [{ entity_id: "z", timestamp: at }] },
      "body.rows",
    ],
    ["entity_ids without a time", { feature_names: names, entity_ids: ["z"] }, "body.timestamp"],
    [
      "a time without a zone",
      { feature_names: names, entity_ids: ["z"], timestamp: "2024-01-15T10:30:00" },
      "body.timestamp",
    ],
    ["no rows", { feature_names: names, rows: [] }, "body.rows"],
    ["no names", { feature_names: [], entity_ids: ["z"], timestamp: at }, "body.feature_names"],
    [
      "a wildcard",
      { feature_names: ["a", "alpha:*"], entity_ids: ["z"], timestamp: at },
      "body.feature_names.1",
    ],
    [
      "a wildcard after a name that is there twice",
      { feature_names: ["a", "a", "alpha:*"], entity_ids: ["z"], timestamp: at },
      "body.feature_names.2",
    ],
    [
      "no reference after a name that is there twice",
      { feature_names: ["a", "a", "a b"], entity_ids: ["z"], timestamp: at },
      "body.feature_names.2",
    ],
    [
      "a row without a time in a request without one",
      { feature_names: names, rows: [{ entity_id: "z", timestamp: at }, { entity_id: "z" }] },
      "body.rows.1.timestamp",
    ],
    [
      "a name that is none",
      { feature_names: ["a b"], entity_ids: ["z"], timestamp: at },
      "body.feature_names.0",
    ],
    [
      "an unknown entity type",
      { feature_names: names, entity_ids: ["z"], timestamp: at, entity_type: "martian" },
      "body.entity_type",
    ],
    [
      "a known_at that is no time",
      { feature_names: names, entity_ids: ["z"], timestamp: at, known_at: "then" },
      "body.known_at",
    ],
  ])("refuses %s with 422", async (_, asked, place) => {
    expect(faultPlaces(expectProblem(await post("/features/batch", asked), 422))).toEqual([place]);
  });
});

describe("where D1 is asked", () => {
  const asked = { entity_ids: ["fresh", "other"], feature_names: ["c:n"], timestamp: isoOf(Date.now()) };

  /** The start of the session in which the history is read, in an isolate that remembers no write unless `own` does one. */
  async function sessionsOf(
    over: Record<string, unknown> = {},
    headers: Record<string, string> = {},
    own: () => Promise<unknown> = async () => {},
  ): Promise<string[]> {
    isolateMemory.clear();
    await own();
    const bindings = watched();
    const request = new Request(`${ORIGIN}/api/v1/features/batch`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ ...asked, ...over }),
    });
    const execution = createExecutionContext();
    const response = await app.fetch(request, bindings.env, execution);
    expect(response.status, await response.text()).toBe(200);
    await waitOnExecutionContext(execution);
    const reads = bindings.database.filter(({ sql }) => sql.some((text) => text.includes("feature_history")));
    return reads.map(({ session }) => session);
  }

  const write = () => upsert("fresh", [entry("c", { n: 1 })]);
  const bookmarkIn = (headers: Headers) =>
    decodeToken(headers.get("x-consistency-token") ?? "")?.bookmarks.get(0);

  test("any replica may answer, unless the request or a write of this isolate says otherwise", async () => {
    expect(await sessionsOf()).toEqual(["first-unconstrained"]);
    expect(await sessionsOf({ consistency: "edge" })).toEqual(["first-unconstrained"]);
    expect(await sessionsOf({ consistency: "strong" })).toEqual(["first-primary"]);
    let written: string | null | undefined;
    const own = async () => {
      written = bookmarkIn((await write()).headers);
    };
    expect(await sessionsOf({}, {}, own)).toEqual([written]);
  });

  test("an answer is never older than the write whose token comes with the request", async () => {
    const { headers } = await write();
    const token = { "x-consistency-token": headers.get("x-consistency-token") ?? "" };
    const bookmark = bookmarkIn(headers);
    expect(bookmark).toBeTruthy();
    expect(await sessionsOf({}, token)).toEqual([bookmark]);
    expect(await sessionsOf({ consistency: "session" }, token)).toEqual([bookmark]);
    expectProblem(await post("/features/batch", { ...asked, consistency: "session" }), 422);
    expectProblem(await post("/features/batch", asked, { "x-consistency-token": "nonsense" }), 422);
    const both = await post("/features/batch?consistency=edge", { ...asked, consistency: "strong" });
    expect(faultPlaces(expectProblem(both, 422))).toEqual(["query.consistency"]);
  });
});

describe("the query", () => {
  test.each([false, true])("finds every row of history by its key (known_at: %s)", async (knownAt) => {
    const { results } = await env.DB.prepare(`EXPLAIN QUERY PLAN ${pointInTimeSql("user", knownAt)}`)
      .bind("default", "[]", 1e9, ...(knownAt ? [0] : []))
      .all<{ detail: string }>();
    const ofHistory = results
      .map(({ detail }) => detail)
      .filter((detail) => /\b(h|n|feature_history)\b/.test(detail));
    // Of both parts the look-up that finds a key, the row itself for its size, and once more for its values; of what was
    // merged the names; and of a whole vector the rows since it was replaced, and where those begin.
    expect(ofHistory).toHaveLength(9);
    for (const detail of ofHistory) {
      expect(detail).toMatch(
        /^SEARCH [hn] USING (?:COVERING )?INDEX sqlite_autoindex_feature_history_1 \(tenant_id=\? AND entity_type=\? AND entity_value=\? AND category=\?/,
      );
      expect(detail).toMatch(/event_time[<=]\?|\(event_time,revision,ingested_at\)=/);
    }
    // A sort of a category's whole history would be a scan by another name; SQLite would call it a temp b-tree.
    expect(results.filter(({ detail }) => /TEMP B-TREE(?! FOR json_group_array)/.test(detail))).toEqual([]);
  });

  test.each(["merge", "replace"] as const)(
    "sends nothing that is more than was said, to the byte (%s)",
    async (mode) => {
      const atMs = Date.now() - 3_600_000;
      const entity = `sized-${mode}`;
      // Short and long, whole and cut, of the newest row and of older ones.
      await writeAll([
        event(entity, { p: "ä".repeat(2_500), q: "x".repeat(3_000), r: 1 }, { atMs, mode }),
        event(entity, { r: "x".repeat(2_000) }, { atMs: atMs + 1_000, mode }),
        event(entity, { s: 1 }, { atMs: atMs + 2_000, mode }),
      ]);
      const features = ["p", "r", "s", "t"];
      const questions = [2_500, 1_500, 500].map((afterMs) => {
        const at = (atMs + afterMs) * 1_000;
        return { entityType: "user", entityValue: entity, category: "alpha", at, features };
      });
      const db = env.DB.withSession("first-primary");
      const sql = db.prepare(pointInTimeSql("user", false));
      const asked = JSON.stringify(
        questions.map((q, i) => [i, q.entityType, q.entityValue, q.category, q.at, features]),
      );
      const { results } = await sql.bind("default", asked, 1e9).all<{ data: string }>();
      const bytes = results.reduce((sum, { data }) => sum + new TextEncoder().encode(data).length, 0);
      expect(bytes).toBeGreaterThan(7_000);
      const read = (mostBytes: number) => readPast(db, "default", questions, { knownAt: null, mostBytes });
      expect(await read(bytes - 1)).toBeNull();
      expect((await read(bytes))?.map((found) => [...found.keys()].sort())).toEqual(
        mode === "merge"
          ? [
              ["p", "r", "s"],
              ["p", "r"],
              ["p", "r"],
            ]
          : [["s"], ["r"], ["p", "r"]],
      );
    },
  );

  test("sends no more in several statements than in one", async () => {
    const atMs = Date.now() - 3_600_000;
    await writeAll([event("shares", { v: "x".repeat(10_000) }, { atMs })]);
    const long = Array.from({ length: 50 }, (_, i) => `${"x".repeat(2_000)}${i}`);
    const questions = Array.from({ length: 8 }, (_, i) => {
      const features = ["v", ...long];
      return {
        entityType: "user",
        entityValue: "shares",
        category: "alpha",
        at: (atMs + i) * 1_000,
        features,
      };
    });
    const db = env.DB.withSession("first-primary");
    const read = (mostBytes: number) => readPast(db, "default", questions, { knownAt: null, mostBytes });
    expect(await read(70_000)).toBeNull();
    expect((await read(200_000))?.map((found) => found.size)).toEqual(Array(8).fill(1));
  });

  test("reads as many rows of a long history as of a short one", async () => {
    const atMs = Date.now() - 3_600_000;
    const history = (entity: string, count: number) =>
      Array.from({ length: count }, (_, i) =>
        event(entity, { a: i, b: i }, { atMs: atMs + i * 1_000, mode: "merge" }),
      );
    await writeAll(history("long", 500));
    await writeAll(history("short", 5));
    const rowsRead = async (entity: string) => {
      const question = [0, "user", entity, "alpha", (atMs + 250_000) * 1_000, ["a", "b"]];
      const asked = env.DB.prepare(pointInTimeSql("user", false)).bind(
        "default",
        JSON.stringify([question]),
        1e9,
      );
      const { results, meta } = await asked.all();
      expect(results).toHaveLength(1);
      return meta.rows_read;
    };
    expect(await rowsRead("long")).toBe(await rowsRead("short"));
  });

  test("looks for a name that was never written no longer in a long history than in a short one", async () => {
    const atMs = Date.now() - 3_600_000;
    const history = (entity: string, count: number) =>
      Array.from({ length: count }, (_, i) =>
        event(entity, { a: i }, { atMs: atMs + i * 1_000, mode: "merge" }),
      );
    // One of them was replaced once: before all of the rest.
    await writeAll([event("replaced", { x: 1 }, { atMs: atMs - 1_000 }), ...history("replaced", 300)]);
    await writeAll(history("never-long", 300));
    await writeAll(history("never-short", 5));
    const rowsRead = async (entity: string, knownAt: boolean) => {
      const question = [0, "user", entity, "alpha", (atMs + 1_000_000) * 1_000, ["a", "x", "y", "z"]];
      const known = knownAt ? [Date.now() * 1_000] : [];
      const asked = env.DB.prepare(pointInTimeSql("user", knownAt));
      return (await asked.bind("default", JSON.stringify([question]), 1e9, ...known).all()).meta.rows_read;
    };
    for (const knownAt of [false, true])
      expect(await rowsRead("never-long", knownAt)).toBe(await rowsRead("never-short", knownAt));
    const { body } = await askRows(
      [{ entity_id: "replaced", timestamp: isoOf(Date.now()) }],
      ["alpha:x", "alpha:y"],
    );
    expect(body.rows[0]?.features).toMatchObject({
      "alpha:x": { value: 1, status: "PRESENT" },
      "alpha:y": { value: null, status: "NOT_FOUND" },
    });
  });
});
