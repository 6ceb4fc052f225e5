/** Histories of every kind of change, by every route, against a model that only plays writes back. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { post } from "../setup/http.ts";
import { History, isoOf, ok } from "./any-history.ts";
import { ENTITIES, type QuestionDraft, questions, SECOND, steps, TYPES } from "./drafts.ts";
import {
  ANY_AGE,
  type Answered,
  answerOf,
  type Column,
  liveValues,
  type Model,
  objectText,
  type Time,
} from "./model.ts";

/** Parsed, with integers beyond 2^53 as texts. */
const exact = (text: string) => JSON.parse(text.replace(/(?<=[:[,]|^)-?\d{16,}(?=[,\]}]|$)/g, '"int $&"'));

const shown = (answers: Record<string, Answered>) =>
  Object.fromEntries(
    Object.entries(answers).map(([name, { json, at, status }]) => [
      name,
      { value: exact(json), timestamp: at === null ? null : isoOf(at), status },
    ]),
  );

async function expectAsModelled(history: History, drafts: readonly QuestionDraft[]): Promise<void> {
  for (const type of TYPES) {
    const about = { history, type, columns: history.columns(type) };
    const asked = drafts.map(({ entity, time, afterSeconds, byMicros }) => {
      const at = history.time(time) + Math.round(afterSeconds * SECOND) + byMicros;
      return { entity: history.entity(entity), at: Math.max(at, history.retainedAt) };
    });
    await expectPast(about, asked, null);
    const known = history.known[(drafts[0]?.time ?? 0) % Math.max(1, history.known.length)];
    if (known) await expectPast(about, asked, known);
    for (const [i, consistency] of ["edge", "strong"].entries())
      await expectOnline(about, { consistency, max_age_seconds: [null, 100][i] });
    for (let entity = 0; entity < ENTITIES.length; entity++) await expectItems(about, history.entity(entity));
  }
}

interface About {
  history: History;
  type: string;
  columns: Record<string, Column>;
}

async function expectPast(
  about: About,
  asked: readonly { entity: string; at: Time }[],
  known: { at: string; request: number } | null,
): Promise<void> {
  const { history, type, columns } = about;
  const rows = asked.map(({ entity, at }) => ({ entity_id: entity, timestamp: isoOf(at) }));
  const body = { rows, feature_names: Object.keys(columns), entity_type: type, known_at: known?.at };
  const { text } = await ok(post("/features/batch", body));
  const answered: unknown[] = exact(text).rows;
  for (const [i, { entity, at }] of asked.entries()) {
    const values = (category: string) =>
      history.model.valuesAt({ type, entity, category }, at, known?.request);
    const features = shown(answersOf(columns, values, at));
    expect(answered[i], `known ${known?.at}`).toEqual({ ...rows[i], features });
  }
  const lines = await ok(post("/features/batch", body, { accept: "application/x-ndjson" }));
  expect(`{"rows":[${lines.text.trimEnd().split("\n").join(",")}],"count":${rows.length}}`).toBe(text);
}

async function expectOnline(
  { history, type, columns }: About,
  over: { consistency: string; max_age_seconds: number | null | undefined },
): Promise<void> {
  const longest = over.max_age_seconds ? over.max_age_seconds * SECOND : ANY_AGE;
  const limited = Object.entries(columns).map(([name, of]) => [
    name,
    { ...of, ttl: Math.min(of.ttl, longest) },
  ]);
  const ids = ENTITIES.map((_, entity) => history.entity(entity));
  const body = { entity_ids: ids, feature_names: Object.keys(columns), entity_type: type, ...over };
  const { results, timestamp } = exact((await ok(post("/features/online", body))).text);
  const now = Date.parse(timestamp) * 1_000;
  for (const [i, entity] of ids.entries()) {
    const values = (category: string) => history.model.valuesAt({ type, entity, category }, ANY_AGE);
    const wanted = shown(answersOf(Object.fromEntries(limited), values, now));
    expect(results[i].features, `online ${entity} ${over.consistency}`).toMatchObject(wanted);
  }
}

async function expectItems({ history, type }: About, entity: string): Promise<void> {
  const feature_list = history.categories.map((category) => `${category}:*`);
  const data = { entity_type: type, entity_value: entity, feature_list };
  const nowMicros = () => Date.now() * 1_000;
  const before = nowMicros();
  const { status, text } = await post("/get/items", { meta: { source: "api" }, data });
  const wantedAt = (now: Time) => {
    const wanted: Record<string, unknown> = {};
    for (const category of history.categories) {
      const values = history.model.valuesAt({ type, entity, category }, ANY_AGE) ?? new Map();
      const live = liveValues(values, (name) => history.ttlOf(type, category, name), now);
      if (live.size > 0) wanted[category] = exact(objectText(live));
    }
    return wanted;
  };
  const items: [string, { features: { data: object } }][] =
    status === 404 ? [] : Object.entries(exact(text).items);
  // A category may be there without features.
  const found = items.filter(([, { features }]) => Object.keys(features.data).length > 0);
  const seen = Object.fromEntries(found.map(([name, { features }]) => [name, features.data]));
  // The answer does not say of when it is; a TTL may have ended meanwhile.
  expect([wantedAt(before), wantedAt(nowMicros())]).toContainEqual(seen);
}

function answersOf(
  columns: Record<string, Column>,
  valuesIn: (category: string) => ReturnType<Model["valuesAt"]>,
  now: Time,
): Record<string, Answered> {
  const values = new Map(Object.values(columns).map(({ category }) => [category, valuesIn(category)]));
  return Object.fromEntries(
    Object.entries(columns).map(([name, column]) => {
      return [name, answerOf(column, values.get(column.category) ?? null, now)];
    }),
  );
}

test("whatever was written, deleted, computed and archived, every route answers as the model does", async () => {
  await fc.assert(
    fc.asyncProperty(steps, questions, questions, async (drafts, early, late) => {
      const history = new History();
      await history.begin();
      const half = Math.ceil(drafts.length / 2);
      for (const step of drafts.slice(0, half)) await history.take(step);
      await expectAsModelled(history, early);
      for (const step of drafts.slice(half)) await history.take(step);
      await expectAsModelled(history, late);
    }),
    // Shrinking would take minutes of requests; the failed comparison shows what differs.
    { numRuns: 4, endOnFailure: true },
  );
});
