/** Training sets: what `/features/batch` says, for more rows than it takes, in files of the bucket. */
import { createScheduledController } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { beforeAll, describe, expect, test } from "vitest";
import { getRequest, putRequest } from "../../worker/history/training-set-store.ts";
import { writeTrainingSet } from "../../worker/history/write-training-set.ts";
import worker from "../../worker/index.ts";
import { trainingSetPrefix } from "../../worker/keys.ts";
import {
  MAX_TRAINING_SET_ROWS,
  MAX_TRAINING_SET_TRIES,
  MAX_TRAINING_SETS_PER_TENANT,
  TRAINING_SET_FILE_ROWS,
  TRAINING_SET_FILE_VALUES,
} from "../../worker/limits.ts";
import { Log } from "../../worker/log.ts";
import { SCOPES } from "../../worker/tenants/api-key.ts";
import { ask, expectProblem, faultPlaces, get, post, remove, WRITER } from "../setup/http.ts";
import { ask as askProduction, production, storedKey, storedTenant } from "../tenants/service.ts";
import { archive, broken } from "./bucket.ts";
import { isoOf } from "./oracle.ts";
import { askRows, event, type Row, register, writeAll } from "./training.ts";

const log = new Log("test", { level: "ERROR", readable: false });

interface Set {
  training_set_id: string;
  status: string;
  known_at: string;
  total: number;
  written: number;
  files: { url: string; rows: number; bytes: number }[];
  error: string | null;
}

const T0 = Date.UTC(2026, 2, 1);
const at = (second: number) => isoOf(T0 + second * 1_000);
const NAMES = ["t_score", "alpha:plain"];
const ENTITIES = 40;
const rows: Row[] = Array.from({ length: TRAINING_SET_FILE_ROWS + 500 }, (_, i) => ({
  entity_id: `set-${i % ENTITIES}`,
  timestamp: at(i % 7),
}));
let known = "";

beforeAll(async () => {
  await register("t_score", { dtype: "int64", category: "alpha" });
  const events = Array.from({ length: ENTITIES }, (_, i) =>
    [0, 3].map((second) =>
      event(`set-${i}`, { t_score: 100 * i + second, plain: i / 8 }, { atMs: T0 + second * 1_000 }),
    ),
  );
  known = await writeAll(events.flat());
});

async function created(asked: readonly Row[], over: Record<string, unknown> = {}): Promise<Set> {
  const body = { rows: asked, feature_names: NAMES, entity_type: "user", ...over };
  const { status, text, body: set } = await post<Set>("/training-sets", body);
  expect(status, text.slice(0, 500)).toBe(202);
  return set;
}

const read = async ({ training_set_id: id }: Set) => (await get<Set>(`/training-sets/${id}`)).body;

async function done(set: Set): Promise<Set> {
  await expect.poll(async () => (await read(set)).status, { timeout: 60_000 }).toBe("done");
  return read(set);
}

async function rowsIn({ files }: Set): Promise<Record<string, unknown>[]> {
  const all: Record<string, unknown>[] = [];
  for (const { url } of files) {
    const { bytes } = await get(url.replace("/api/v1", ""));
    all.push(...((await parquetReadObjects({ file: bytes })) as Record<string, unknown>[]));
  }
  return all;
}

async function typesIn({ files }: Set): Promise<string[][]> {
  return Promise.all(
    files.map(async ({ url }) => {
      const { schema } = await parquetMetadataAsync((await get(url.replace("/api/v1", ""))).bytes);
      return schema.slice(1).map(({ converted_type, type }) => converted_type ?? type ?? "");
    }),
  );
}

const keysOf = async ({ training_set_id: id }: Pick<Set, "training_set_id">) =>
  (await archive().list({ prefix: trainingSetPrefix("default", id) })).objects.map(({ key }) => key);

/** What announces goes where nobody consumes: every step is the test's own. */
const byHand: Env = { ...env, FEATURE_COMPUTE: env.QUEUE_WITHOUT_CONSUMER };

const askByHand = (
  line: string,
  over: Partial<Env> = {},
  body?: unknown,
  headers: Record<string, string> = {},
) => askProduction(line, { body, headers, env: { ...byHand, ENVIRONMENT: "development", ...over } });

const setsOfDefault = async () =>
  (await env.DB.prepare("SELECT count(*) AS n FROM training_sets").first<number>("n")) ?? 0;

/** Writes a set's next file. */
const stepOf = ({ training_set_id }: Set, over: Partial<Env> = {}) =>
  writeTrainingSet(
    { env: { ...byHand, ...over }, log },
    { kind: "training_set", tenant_id: "default", training_set_id },
  );

/** A set that the queue does not see. */
async function unseen(
  asked: readonly Row[],
): Promise<Set & { step: (over?: Partial<Env>) => Promise<void> }> {
  const body = { rows: asked, feature_names: NAMES, entity_type: "user" };
  const { json, status } = await askByHand("POST /api/v1/training-sets", {}, body);
  expect(status).toBe(202);
  const set = json as unknown as Set;
  return { ...set, step: (over = {}) => stepOf(set, over) };
}

describe("a training set", () => {
  test("has the rows of the request in order, with the values that `/features/batch` answers", async () => {
    const set = await done(await created(rows));
    expect(set).toMatchObject({ total: rows.length, written: rows.length, error: null });
    expect(set.files.map((file) => file.rows)).toEqual([TRAINING_SET_FILE_ROWS, 500]);
    const found = await rowsIn(set);
    expect(found).toHaveLength(rows.length);
    const positions = [0, 1, 7, 39, 40, 9_999, 10_000, 10_499];
    const { body } = await askRows(
      positions.map((position) => rows[position] as Row),
      NAMES,
    );
    expect(positions.map((position) => found[position])).toEqual(
      body.rows.map(({ entity_id, timestamp, features }) => ({
        entity_id,
        timestamp: new Date(timestamp),
        ...Object.fromEntries(
          NAMES.flatMap((name) => {
            const { value, timestamp: time, status } = features[name] ?? {};
            return [
              [name, name === "t_score" ? BigInt(value as number) : value],
              [`${name}__timestamp`, new Date(time as string)],
              [`${name}__status`, status],
            ];
          }),
        ),
      })),
    );
    expect(await typesIn(set)).toEqual(Array(2).fill((await typesIn(set))[0]));
  });

  test("knows what had been ingested when it was asked for, or by `known_at`", async () => {
    const set = await unseen([{ entity_id: "set-0", timestamp: at(10) }]);
    await writeAll([event("set-0", { t_score: 7_777, plain: 1 }, { atMs: T0 + 9_000 })]);
    await set.step();
    const later = await done(await created([{ entity_id: "set-0", timestamp: at(10) }]));
    const earlier = await done(
      await created([{ entity_id: "set-0", timestamp: at(10) }], { known_at: known }),
    );
    const scores = await Promise.all([await read(set), later, earlier].map(rowsIn));
    expect(scores.map(([row]) => row?.t_score)).toEqual([3n, 7_777n, 3n]);
    expect(earlier.known_at).toBe(known);
    const future = await created([{ entity_id: "set-0", timestamp: at(10) }], {
      known_at: "2100-01-01T00:00:00Z",
    });
    expect(Date.parse(future.known_at)).toBeLessThanOrEqual(Date.now());
  });

  test("has one type for a column in all files, though its values need another late", async () => {
    const mixed = { "wide-number": 1, "wide-text": "x" };
    for (const [entity, value] of Object.entries(mixed)) {
      const feature_list = [{ category: "alpha", features: { mixed: value }, event_timestamp: at(0) }];
      const data = { entity_type: "user", entity_value: entity, feature_list };
      expect((await post("/items", { metadata: WRITER, data })).status).toBe(200);
    }
    const first = Array.from({ length: TRAINING_SET_FILE_ROWS }, () => "wide-number");
    const asked = [...first, "wide-text", "nobody"].map((entity_id) => ({ entity_id, timestamp: at(1) }));
    const set = await done(await created(asked, { feature_names: ["alpha:mixed"] }));
    expect(set.files.map((file) => file.rows)).toEqual([TRAINING_SET_FILE_ROWS, 2]);
    const [one, two] = await typesIn(set);
    expect(one).toEqual(two);
    const found = await rowsIn(set);
    expect([0, 10_000, 10_001].map((position) => found[position]?.["alpha:mixed"])).toEqual([
      "1",
      '"x"',
      null,
    ]);
  });

  test("is made of entities and one time as well, and listed, newest first", async () => {
    const older = await created(rows.slice(0, 3));
    const body = { entity_ids: ["set-1", "set-2", "set-1"], timestamp: at(5), feature_names: NAMES };
    const set = (await post<Set>("/training-sets", { ...body, entity_type: "user" })).body;
    expect((await rowsIn(await done(set))).map((row) => row.entity_id)).toEqual(body.entity_ids);
    const { body: list } = await get<{ training_sets: Set[] }>("/training-sets");
    const ids = list.training_sets.map(({ training_set_id: id }) => id);
    expect(ids.indexOf(set.training_set_id)).toBeLessThan(ids.indexOf(older.training_set_id));
  });
});

describe("a file", () => {
  const rowsOf = async (entity: string, count: number, feature_names: string[]) => {
    const asked = Array.from({ length: count }, () => ({ entity_id: entity, timestamp: at(1) }));
    return (await done(await created(asked, { feature_names }))).files.map((file) => file.rows);
  };

  test("has fewer rows where they have many features", async () => {
    const names = Array.from({ length: 50 }, (_, i) => `c${i}:a`);
    expect(await rowsOf("nobody", TRAINING_SET_FILE_VALUES / 50 + 1, names)).toEqual([
      TRAINING_SET_FILE_VALUES / 50,
      1,
    ]);
  });

  test("has fewer rows where their values are large", async () => {
    const feature_list = [
      { category: "large", features: { a: "x".repeat(900_000) }, event_timestamp: at(0) },
    ];
    const data = { entity_type: "user", entity_value: "large", feature_list };
    expect((await post("/items", { metadata: WRITER, data })).status).toBe(200);
    expect(await rowsOf("large", 12, ["large:a"])).toEqual([10, 2]);
  });

  test("is there when the set is done, and only those that it has", async () => {
    const set = await unseen(rows.slice(0, 2));
    const path = `/training-sets/${set.training_set_id}/files/0`;
    expect(expectProblem(await get(path), 409).detail).toContain("queued");
    await set.step();
    const { status, bytes, headers } = await get(path);
    const [file] = (await read(set)).files;
    expect([status, bytes.byteLength, Number(headers.get("content-length"))]).toEqual([
      200,
      file?.bytes,
      file?.bytes,
    ]);
    expect(headers.get("content-type")).toBe("application/vnd.apache.parquet");
    expectProblem(await get(path.replace("/0", "/1")), 404);
    expectProblem(await get(path.replace("/0", "/x")), 422);
  });
});

describe("whatever happens on the way", () => {
  const many = rows.slice(0, TRAINING_SET_FILE_ROWS + 1);

  test("two that write at once, and a message that comes twice, make each file once", async () => {
    const set = await unseen(many);
    await Promise.all([set.step(), set.step()]);
    expect((await read(set)).written).toBe(TRAINING_SET_FILE_ROWS);
    await set.step();
    await set.step();
    const after = await read(set);
    expect([after.status, after.written]).toEqual(["done", many.length]);
    expect((await rowsIn(after)).map((row) => row.entity_id)).toEqual(many.map((row) => row.entity_id));
  });

  test("one that comes late changes nothing", async () => {
    const set = await unseen([...many, ...many]);
    const ARCHIVE = broken(archive(), "put", async (...args: Parameters<R2Bucket["put"]>) => {
      await set.step();
      await set.step();
      return archive().put(...args);
    });
    await set.step({ ARCHIVE });
    expect(await read(set)).toMatchObject({ status: "running", written: 2 * TRAINING_SET_FILE_ROWS });
  });

  test("one that is slow is not in vain, though somebody asks and wakes the set meanwhile", async () => {
    const set = await unseen(many.slice(0, 1));
    const ARCHIVE = broken(archive(), "put", async (...args: Parameters<R2Bucket["put"]>) => {
      await env.DB.prepare(
        "UPDATE training_sets SET updated_at = updated_at - 301000000 WHERE training_set_id = ?",
      )
        .bind(set.training_set_id)
        .run();
      await askByHand(`GET /api/v1/training-sets/${set.training_set_id}`);
      return archive().put(...args);
    });
    await set.step({ ARCHIVE });
    expect((await read(set)).status).toBe("done");
  });

  test("one that comes after its file was written anew overwrites nothing", async () => {
    const mixed = { "late-number": 1, "late-text": "x" };
    for (const [entity, value] of Object.entries(mixed)) {
      const feature_list = [{ category: "alpha", features: { plain: value }, event_timestamp: at(0) }];
      const data = { entity_type: "user", entity_value: entity, feature_list };
      expect((await post("/items", { metadata: WRITER, data })).status).toBe(200);
    }
    const first = Array.from({ length: TRAINING_SET_FILE_ROWS }, () => "late-number");
    const set = await unseen([...first, "late-text"].map((entity_id) => ({ entity_id, timestamp: at(1) })));
    const ARCHIVE = broken(archive(), "put", async (...args: Parameters<R2Bucket["put"]>) => {
      for (let steps = 0; steps < 3; steps += 1) await set.step();
      return archive().put(...args);
    });
    await set.step({ ARCHIVE });
    const done = await read(set);
    expect(done.status).toBe("done");
    const [one, two] = await typesIn(done);
    expect(one).toEqual(two);
    // What it asks for, and its two files.
    expect(await keysOf(done)).toHaveLength(3);
  });

  test("one that always fails makes the set fail, and is not begun again", async () => {
    const set = await unseen(many.slice(0, 1));
    let puts = 0;
    const ARCHIVE = broken(archive(), "put", () => {
      puts += 1;
      return Promise.reject(new Error("away"));
    });
    for (let tries = 0; tries < MAX_TRAINING_SET_TRIES; tries += 1)
      await expect(set.step({ ARCHIVE })).rejects.toThrow("away");
    for (let more = 0; more < 2; more += 1) await set.step({ ARCHIVE });
    expect(puts).toBe(MAX_TRAINING_SET_TRIES);
    expect(await read(set)).toMatchObject({ status: "failed", error: expect.stringContaining("8 tries") });
  });

  test("a deletion that the bucket refuses is 503, and ended by who reads its message", async () => {
    const set = await unseen(many.slice(0, 1));
    const ARCHIVE = broken(archive(), "list", () => Promise.reject(new Error("away")));
    const path = `/api/v1/training-sets/${set.training_set_id}`;
    expect((await askByHand(`DELETE ${path}`, { ARCHIVE })).status).toBe(503);
    expect((await askByHand(`GET ${path}`)).status).toBe(404);
    await set.step();
    expect(await keysOf(set)).toEqual([]);
    const left = env.DB.prepare("SELECT count(*) AS n FROM training_sets WHERE training_set_id = ?");
    expect(await left.bind(set.training_set_id).first("n")).toBe(0);
  });

  test("a deletion that the bucket refuses, and whose message is lost, is ended by the cron", async () => {
    const set = await unseen(many.slice(0, 1));
    const ARCHIVE = broken(archive(), "list", () => Promise.reject(new Error("away")));
    const FEATURE_COMPUTE = broken(env.FEATURE_COMPUTE, "send", () => Promise.resolve());
    const path = `/api/v1/training-sets/${set.training_set_id}`;
    expect((await askByHand(`DELETE ${path}`, { ARCHIVE, FEATURE_COMPUTE })).status).toBe(503);
    expect(await keysOf(set)).not.toEqual([]);
    await worker.scheduled(createScheduledController(), env);
    expect(await keysOf(set)).toEqual([]);
    const left = env.DB.prepare("SELECT count(*) AS n FROM training_sets WHERE training_set_id = ?");
    expect(await left.bind(set.training_set_id).first("n")).toBe(0);
  });

  test("a set that cannot be announced leaves nothing behind", async () => {
    const before = (await archive().list()).objects.length;
    const FEATURE_COMPUTE = broken(env.FEATURE_COMPUTE, "send", () => Promise.reject(new Error("away")));
    const body = { rows: many.slice(0, 1), feature_names: NAMES, entity_type: "user" };
    expect((await askByHand("POST /api/v1/training-sets", { FEATURE_COMPUTE }, body)).status).toBe(503);
    expect((await archive().list()).objects).toHaveLength(before);
  });

  test("a set that could not be begun is begun when its request comes again with its Idempotency-Key", async () => {
    const away = () => Promise.reject(new Error("away"));
    const broke: Partial<Env>[] = [
      { ARCHIVE: broken(archive(), "put", away) },
      { FEATURE_COMPUTE: broken(env.FEATURE_COMPUTE, "send", away) },
    ];
    for (const [i, over] of broke.entries()) {
      const before = await setsOfDefault();
      const body = { rows: many.slice(0, 2), feature_names: NAMES, entity_type: "user" };
      const sent: unknown[] = [];
      const FEATURE_COMPUTE = broken(env.FEATURE_COMPUTE, "send", async (message) => void sent.push(message));
      const send = (more: Partial<Env> = { FEATURE_COMPUTE }) =>
        askByHand("POST /api/v1/training-sets", more, body, { "idempotency-key": `unbegun-${i}` });
      expect((await send(over)).status).toBe(503);
      const first = await send();
      const set = first.json as unknown as Set;
      expect(first).toMatchObject({ status: 202, json: { status: "queued", total: 2 } });
      expect(sent).toMatchObject([{ training_set_id: set.training_set_id }]);
      // Once a try has begun it is told of as it was, and left alone: the queue brings its message again.
      await expect(stepOf(set, { ARCHIVE: broken(archive(), "put", away) })).rejects.toThrow("away");
      expect((await send()).text).toBe(first.text);
      await stepOf(set);
      expect((await rowsIn(await read(set))).length).toBe(2);
      expect((await send()).text).toBe(first.text);
      expect(sent).toHaveLength(1);
      expect((await setsOfDefault()) - before).toBe(1);
    }
  });

  test("what a set asks for is what came first, whatever is put after it", async () => {
    const set = await unseen(many.slice(0, 1));
    const key = { tenantId: "default", trainingSetId: set.training_set_id };
    await putRequest(archive(), key, { entityType: "user", columns: [], rows: [] });
    expect((await getRequest(archive(), key))?.rows).toHaveLength(1);
  });

  test("a bucket that fails leaves the file to the next try", async () => {
    const set = await unseen(many.slice(0, 1));
    const ARCHIVE = broken(archive(), "put", () => Promise.reject(new Error("away")));
    await expect(set.step({ ARCHIVE })).rejects.toThrow("away");
    expect((await read(set)).status).toBe("queued");
    await set.step();
    expect((await read(set)).status).toBe("done");
  });

  test("a set whose message was lost goes on when somebody asks for it", async () => {
    const set = await unseen(many);
    await set.step();
    expect((await read(set)).status).toBe("running");
    await env.DB.prepare(
      "UPDATE training_sets SET updated_at = updated_at - 301000000 WHERE training_set_id = ?",
    )
      .bind(set.training_set_id)
      .run();
    expect((await done(set)).written).toBe(many.length);
  });

  test("a set whose request never arrived has failed, and says so", async () => {
    const set = await unseen(many.slice(0, 1));
    await archive().delete(await keysOf(set));
    await set.step();
    expect(await read(set)).toMatchObject({
      status: "failed",
      error: expect.stringContaining("create it again"),
    });
  });

  test("what is deleted is gone with all of its files, those under way too", async () => {
    const set = await unseen(many);
    await set.step();
    expect(await keysOf(set)).toHaveLength(2);
    const ARCHIVE = broken(archive(), "put", async (...args: Parameters<R2Bucket["put"]>) => {
      expect((await remove(`/training-sets/${set.training_set_id}`)).status).toBe(200);
      return archive().put(...args);
    });
    await set.step({ ARCHIVE });
    expect(await keysOf(set)).toEqual([]);
    expectProblem(await get(`/training-sets/${set.training_set_id}`), 404);
    expectProblem(await get(`/training-sets/${set.training_set_id}/files/0`), 404);
    expectProblem(await remove(`/training-sets/${set.training_set_id}`), 404);
    await set.step();
    expect(await keysOf(set)).toEqual([]);
  });

  test("a message of a set that is gone removes what is left of it, and makes nothing", async () => {
    const gone = { training_set_id: "ts_gone" };
    await archive().put(`${trainingSetPrefix("default", gone.training_set_id)}00000-late.parquet`, "late");
    const sent: unknown[] = [];
    const FEATURE_COMPUTE = broken(env.FEATURE_COMPUTE, "send", async (message) => void sent.push(message));
    await writeTrainingSet(
      { env: { ...byHand, FEATURE_COMPUTE }, log },
      { kind: "training_set", tenant_id: "default", ...gone },
    );
    expect([await keysOf(gone), sent]).toEqual([[], []]);
    const rows = "SELECT count(*) AS n FROM training_sets WHERE training_set_id = ?";
    expect(await env.DB.prepare(rows).bind(gone.training_set_id).first("n")).toBe(0);
  });
});

describe("limits", () => {
  test("rows beyond those of a set are refused", async () => {
    const entity_ids = Array.from({ length: MAX_TRAINING_SET_ROWS + 1 }, (_, i) => `${i}`);
    const body = { entity_ids, timestamp: at(1), feature_names: NAMES };
    expect(faultPlaces(expectProblem(await post("/training-sets", body), 422))).toEqual(["body.entity_ids"]);
  });

  test("a tenant has so many and no more, however many ask at once", async () => {
    const tenant = await storedTenant("sets");
    const { key } = await storedKey(tenant, [...SCOPES]);
    const body = { entity_ids: ["a"], timestamp: at(1), feature_names: ["c:a"] };
    const asked = Array.from({ length: MAX_TRAINING_SETS_PER_TENANT + 3 }, () =>
      askProduction("POST /api/v1/training-sets", { key, body }),
    );
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 202)).toHaveLength(MAX_TRAINING_SETS_PER_TENANT);
    expect(statuses.filter((status) => status === 409)).toHaveLength(3);
  });

  test("two columns of one name, and what has no column, are refused at once", async () => {
    const over = (feature_names: string[]) => ({
      rows: rows.slice(0, 1),
      entity_type: "user",
      feature_names,
    });
    for (const names of [["alpha:a", "alpha:a__status"], ["alpha:*"]])
      expect((await post("/training-sets", over(names))).status).toBe(422);
  });

  test("a name that would be found in no row is refused, with its place: unregistered, of another type, without that version", async () => {
    await register("t_other", { entity_type: "account_id" });
    for (const name of ["t_scoer", "t_other", "t_score@9"]) {
      const body = { rows: rows.slice(0, 1), entity_type: "user", feature_names: ["alpha:plain", name] };
      const problem = expectProblem(await post("/training-sets", body), 422);
      expect(problem.errors).toMatchObject([{ loc: ["body", "feature_names", 1], type: "unknown_feature" }]);
      expect(problem.detail).toMatch(/^body\.feature_names\.1: is not a registered feature/);
    }
  });

  test("without a bucket there are none", async () => {
    const { ARCHIVE: _, ...without } = { ...production, ENVIRONMENT: "development" as const };
    const body = { entity_ids: ["a"], timestamp: at(1), feature_names: ["c:a"] };
    const answer = await askProduction("POST /api/v1/training-sets", { body, env: without as Env });
    expect([answer.status, answer.json.detail]).toEqual([503, expect.stringContaining("ARCHIVE")]);
    expect((await ask("GET", "/training-sets")).status).toBe(200);
  });
});
