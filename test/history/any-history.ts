/** A history as it is made by every route that changes something, and the model of it. */
import { env } from "cloudflare:workers";
import { parquetReadObjects } from "hyparquet";
import { expect } from "vitest";
import { removeOldHistory } from "../../worker/history/retention.ts";
import { Log } from "../../worker/log.ts";
import { type Answer, ask, type BatchWritten, post, remove, type Written } from "../setup/http.ts";
import { sleep } from "../setup/waiting.ts";
import { archive, broken, IN_ONE_RUN } from "./bucket.ts";
import {
  ENTITIES,
  FREE,
  NAMES,
  type PartDraft,
  type RowDraft,
  SECOND,
  type Step,
  type StepOf,
  TIMES,
  TTLS_SECONDS,
  TYPED,
  TYPES,
  VALUES,
  VECTOR,
  VECTOR_NAMES,
} from "./drafts.ts";
import { ANY_AGE, type Column, Model, objectText, type Time } from "./model.ts";

const log = new Log("test", { level: "ERROR", readable: false });
const SOURCE = '"metadata":{"source":"prediction_service"}';

export const isoOf = (time: Time) => {
  const ms = Math.floor(time / 1_000);
  return `${new Date(ms).toISOString().slice(0, -1)}${String(time - ms * 1_000).padStart(3, "0")}+00:00`;
};

export async function ok<T>(asked: Promise<Answer<T>>, status = 200): Promise<Answer<T>> {
  const answer = await asked;
  expect(answer.status, answer.text.slice(0, 500)).toBe(status);
  return answer;
}

let histories = 0;

/** One history with names of its own, of which the model is told all. */
export class History {
  readonly #id = `model_${++histories}`;
  readonly model = new Model();
  readonly #startedAt = Date.now() * 1_000;
  readonly categories = [`typed-${this.#id}`, `free ☃/${this.#id}`, `vector_${this.#id}`] as const;
  /** After which request the store had learned what by then. */
  readonly known: { at: string; request: number }[] = [];
  #request = 0;
  #shift = 0;
  #isActive = false;
  /** Nothing is asked about what retention need not answer. */
  retainedAt = Number.NEGATIVE_INFINITY;

  async begin(): Promise<void> {
    const register = (name: string, dtype: string, over: object = {}) => {
      const definition = { name: this.#name(name), version: 1, dtype, entity_type: "shopper", ...over };
      return ok(post("/features/register", { category: this.categories[TYPED], ...definition }), 201);
    };
    await register("n", "int64", { ttl_seconds: 120, default_value: "9007199254740993" });
    await register("n", "int64", { version: 2, ttl_hours: 1.50013888888889, default_value: null });
    await register("j", "json", { default_value: { d: [1] } });
    await register("t", "timestamp");
    const schema_definition = { shopper: "string", amount: "integer", at: "timestamp" };
    const table = { name: this.#id, schema_definition, timestamp_column: "at" };
    const { body } = await ok(post<{ id: number }>("/raw-tables", table), 201);
    const computation_logic =
      "SELECT shopper, sum(amount) AS total, count(*) AS n FROM data GROUP BY shopper";
    const feature = { name: this.categories[VECTOR], raw_table_id: body.id, entity_key: "shopper" };
    await ok(post("/features", { ...feature, computation_logic }), 201);
    await ok(post(`/features/${feature.name}/versions`, { version: 1, status: "active", ttl_hours: 2 }), 201);
  }

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case "write":
        await this.#write(step);
        break;
      case "burst":
        await this.#burst(step);
        break;
      case "compute":
        await this.#compute(step);
        break;
      case "delete":
        await this.#delete(step);
        break;
      case "retain":
        await this.#retain(step);
        break;
      case "activate": {
        const body = { status: step.isActive ? "active" : "deprecated" };
        await ok(ask("PATCH", `/features/${this.#name("n")}/versions/2`, { body }));
        this.#isActive = step.isActive;
      }
    }
    this.#request += 1;
    // Another writer's clock may show the same millisecond a moment later.
    await sleep(2);
  }

  async #write({ rows, again }: StepOf<"write">): Promise<void> {
    const body = `{${SOURCE},"data":[${rows.map((row) => this.#rowText(row)).join(",")}]}`;
    const headers: Record<string, string> =
      again === "with its key" ? { "idempotency-key": crypto.randomUUID() } : {};
    const send = () => ok(post<BatchWritten>("/items/batch", body, headers));
    const first = await send();
    expect(first.body.results.filter(({ outcome }) => outcome === "rejected")).toEqual([]);
    this.#tell(rows);
    if (again === "with its key") expect((await send()).text).toBe(first.text);
    if (again === "without") {
      this.known.push({ at: (await send()).body.timestamp, request: this.#request });
      this.#tell(rows);
    } else this.known.push({ at: first.body.timestamp, request: this.#request });
  }

  /** All at once; no two are of one time, so their order does not matter. */
  async #burst({ rows }: StepOf<"burst">): Promise<void> {
    const shifted = rows.map((row) => {
      // Some of the times are a microsecond apart.
      this.#shift += 2;
      return { ...row, parts: row.parts.map((part) => ({ ...part, shift: this.#shift })) };
    });
    await Promise.all(
      shifted.map((row) => ok(post<Written>("/items", `{${SOURCE},"data":${this.#rowText(row)}}`))),
    );
    this.#tell(shifted);
  }

  async #compute({ rows }: StepOf<"compute">): Promise<void> {
    const category = this.categories[VECTOR];
    const body = rows.map(({ entity, amount, time }) => {
      return { shopper: this.entity(entity), amount, at: isoOf(this.time(time)) };
    });
    await ok(post(`/features/${category}/compute`, body));
    for (const [entity, own] of Map.groupBy(rows, (row) => this.entity(row.entity))) {
      const total = own.reduce((sum, { amount }) => sum + amount, 0);
      const vector = { total: String(total), n: String(own.length) };
      this.model.write({
        ...{ type: "shopper", entity, category, mode: "replace", data: new Map(Object.entries(vector)) },
        ...{ at: Math.max(...own.map(({ time }) => this.time(time))), ttl: 7_200 * SECOND },
        request: this.#request,
      });
    }
  }

  async #delete({ type, entity, category }: StepOf<"delete">): Promise<void> {
    const place = {
      type: TYPES[type] ?? "",
      entity: this.entity(entity),
      category: category === null ? null : this.categories[category],
    };
    const path = [place.type, place.entity, ...(place.category === null ? [] : [place.category])];
    const { status } = await remove(`/entities/${path.map(encodeURIComponent).join("/")}`);
    expect(status).toBe(this.model.remove(place, Date.now() * 1_000) ? 200 : 404);
  }

  /** Of all that is not of the future; runs that die at a call of D1 or the bucket come before the one that ends. */
  async #retain({ dies }: StepOf<"retain">): Promise<void> {
    const before = await this.#rowsLeft();
    for (const dying of [...dies, ANY_AGE]) {
      let left = dying;
      const until =
        <A extends unknown[], R>(call: (...given: A) => Promise<R>) =>
        async (...given: A): Promise<R> => {
          if (left-- <= 0) throw new Error("it dies before");
          const done = await call(...given);
          if (left-- <= 0) throw new Error("it dies after");
          return done;
        };
      const db = broken(
        env.DB,
        "batch",
        until((...given: Parameters<D1Database["batch"]>) => env.DB.batch(...given)),
      );
      const bucket = broken(
        archive(),
        "put",
        until((key: string, file: ArrayBuffer) => archive().put(key, file)),
      );
      await removeOldHistory({ db, retentionDays: 0, archive: bucket, log, ...IN_ONE_RUN }).catch((cause) => {
        expect(String(cause)).toContain("it dies");
      });
    }
    await removeOldHistory({ db: env.DB, retentionDays: 0, archive: archive(), log, ...IN_ONE_RUN });
    this.retainedAt = Date.now() * 1_000 + 1_000;
    this.known.splice(0);
    const [after, archived] = [await this.#rowsLeft(), await this.#rowsArchived()];
    const isOnce = (row: string) => after.has(row) !== archived.has(row);
    expect(
      [...before].filter((row) => !isOnce(row)),
      "neither lost nor in both",
    ).toEqual([]);
  }

  async #rowsLeft(): Promise<Set<string>> {
    const sql = "SELECT * FROM feature_history WHERE entity_value LIKE ? || ' %'";
    const { results } = await env.DB.prepare(sql).bind(this.#id).all();
    return new Set(results.map(historyText));
  }

  async #rowsArchived(): Promise<Set<string>> {
    const { objects } = await archive().list({ prefix: "default/history/" });
    const files = objects.map(async ({ key }) => {
      const file = (await (await archive().get(key))?.arrayBuffer()) ?? new ArrayBuffer();
      const parsers = { timestampFromMicroseconds: Number };
      return (await parquetReadObjects({ file, parsers: parsers as never })) as Record<string, unknown>[];
    });
    return new Set((await Promise.all(files)).flat().map(historyText));
  }

  columns(type: string): Record<string, Column> {
    const [typed, free, vector] = this.categories;
    const of = (category: string, stored: string, missing = "null"): Column => {
      return { category, stored, ttl: this.ttlOf(type, category, stored), missing };
    };
    const plain = [typed, free].flatMap((category) =>
      NAMES.map((name) => {
        const stored = category === typed ? this.#name(name) : name;
        return [`${category}:${stored}`, of(category, stored, this.#missing(type, stored))] as const;
      }),
    );
    const columns = Object.fromEntries([
      ...plain,
      ...VECTOR_NAMES.map((name) => [`${vector}:${name}`, of(vector, name)] as const),
    ]);
    if (type !== "shopper") return columns;
    const [first, second] = [this.#name("n"), this.#name("n@2")];
    const [one, two] = [of(typed, first, this.#missing(type, first)), of(typed, second)];
    const bare = { [first]: this.#isActive ? two : one, [vector]: of(vector, "*") };
    return { ...columns, ...bare, [`${first}@v1`]: one, [`${first}@v2`]: two };
  }

  #missing(type: string, stored: string): string {
    const defaults = new Map([
      [this.#name("n"), "9007199254740993"],
      [this.#name("j"), '{"d":[1]}'],
    ]);
    return (type === "shopper" && defaults.get(stored)) || "null";
  }

  ttlOf(type: string, category: string, stored: string): Time {
    if (type !== "shopper") return ANY_AGE;
    if (category === this.categories[VECTOR]) return 7_200 * SECOND;
    if (stored === this.#name("n")) return 120 * SECOND;
    return stored === this.#name("n@2") ? 5_400.5 * SECOND : ANY_AGE;
  }

  #tell(rows: readonly RowDraft[]): void {
    for (const { type, entity, parts } of rows)
      for (const part of parts) {
        const ttl = TTLS_SECONDS[part.ttl];
        this.model.write({
          ...{
            type: TYPES[type] ?? "",
            entity: this.entity(entity),
            category: this.categories[part.category],
          },
          ...{ mode: part.mode, at: this.time(part.time) + part.shift, request: this.#request },
          ttl: ttl ? ttl * SECOND : ANY_AGE,
          data: new Map(this.#values(part).map(([name, sent, typed]) => [name, type === 0 ? typed : sent])),
        });
      }
  }

  #rowText({ type, entity, parts }: RowDraft): string {
    const list = parts.map((part) => {
      const features = objectText(new Map(this.#values(part).map(([name, sent]) => [name, sent])));
      const at = isoOf(this.time(part.time) + part.shift);
      const options = { mode: part.mode, event_timestamp: at, ttl_seconds: TTLS_SECONDS[part.ttl] };
      return `{"category":"${this.categories[part.category]}","features":${features},${JSON.stringify(options).slice(1)}`;
    });
    const ref = { entity_type: TYPES[type], entity_value: this.entity(entity) };
    return `${JSON.stringify(ref).slice(0, -1)},"feature_list":[${list.join(",")}]}`;
  }

  #values({ category, names, value }: PartDraft): [name: string, sent: string, typed: string][] {
    if (category === VECTOR)
      return [...new Set([1, ...names])].flatMap((position) => {
        const name = VECTOR_NAMES[position];
        return name === undefined ? [] : [[name, String(value), String(value)]];
      });
    return names.map((position) => {
      const name = NAMES[position] ?? "";
      const texts = VALUES[name] ?? [];
      const [sent, typed = sent] = texts[(value + position) % texts.length] ?? ["0"];
      return category === FREE ? [name, sent, sent] : [this.#name(name), sent, typed];
    });
  }

  #name = (name: string) => name.replace(/^([njt])(?=@|$)/, `$1_${this.#id}`);
  entity = (position: number) => `${this.#id} ${ENTITIES[position]}`;
  time = (position: number) => this.#startedAt + (TIMES[position] ?? 0);
}

const historyText = (row: Record<string, unknown>) =>
  JSON.stringify(Object.entries(row).map(([name, value]) => [name, value === null ? null : String(value)]));
