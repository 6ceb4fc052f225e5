/** The answers of system B's online reads as JSON in UTF-8. Pure: TTL and age are judged at `now`. */
import { ByteWriter } from "../byte-writer.ts";
import { keepHiddenClass } from "../hidden-classes.ts";
import { assertAnswerSize } from "../http/answer-size.ts";
import { ONLINE_ROOM_BYTES } from "../limits.ts";
import type { ValueStatus, ValueTally } from "../monitoring/value-tally.ts";
import type { Catalog } from "../registry/catalog.ts";
import { type Resolved, WHOLE_CATEGORY } from "../registry/resolve-references.ts";
import { formatTimestamp, MICROS_PER_SECOND, type Micros } from "../timestamps.ts";
import {
  type DocumentCategory,
  type EntityDocument,
  isLive,
  liveCategory,
  timesOf,
  valuesOf,
} from "./document.ts";
import { type Asked, askedAs, type CategoryRun, runsOf, sharedBytes } from "./online-runs.ts";
import type { EntityRead } from "./read-entities.ts";

/** A question that may be asked of any number of entities, at any time. */
export interface OnlineQuestion {
  catalog: Catalog;
  entityType: string;
  maxAgeSeconds: number | null;
  runs: readonly CategoryRun[];
  /** All that is asked for, as it was written. */
  names: ReadonlySet<string>;
}

export function questionOf({
  resolved,
  ...question
}: Omit<OnlineQuestion, "runs" | "names"> & { resolved: readonly Resolved[] }): OnlineQuestion {
  const { maxAgeSeconds } = question;
  const asked = resolved.map((one) => askedAs(one.asked, one, { version: one.version, maxAgeSeconds }));
  return { ...question, runs: runsOf(asked), names: new Set(resolved.map((one) => one.asked)) };
}

interface AskedEntity {
  entityId: string;
  read: EntityRead;
}

/** Decimals of an age: a fixed number, so that it takes the same room from one moment to the next. */
const FRESHNESS_DECIMALS = 6;

/** Pieces of an answer, in order. Bytes among them are those of a category, valid until it is asked for again. */
type Pieces = (string | Uint8Array)[];

/** Answers one question for any number of entities: what is the same for all of them is made once. */
export class OnlineAnswers {
  readonly #question: OnlineQuestion;
  readonly #now: Micros;
  readonly #nowText: string;
  /** Takes note of every value answered; undefined where nobody counts. */
  readonly #tally: ValueTally | undefined;
  /** Values of a category mostly share their event time, and entities written together too. */
  readonly #ages = new Map<Micros, string>();

  constructor(question: OnlineQuestion, { now, tally }: { now: Micros; tally?: ValueTally | undefined }) {
    this.#question = question;
    this.#now = now;
    this.#nowText = formatTimestamp(now);
    this.#tally = tally;
    keepHiddenClass(this);
  }

  /** One entity's features; keys are the references as they were asked for, `category:*` becomes one key a feature. */
  one(entity: AskedEntity): Uint8Array<ArrayBuffer> {
    const pieces: Pieces = [];
    this.#add(pieces, entity);
    return joined(pieces);
  }

  /** @param room Buffer for the answer, which is then valid until the next one is made. Without it the answer has its own. */
  many(entities: readonly AskedEntity[], room?: ByteWriter): Uint8Array<ArrayBuffer> {
    const pieces: Pieces = ['{"results":['];
    for (const [i, entity] of entities.entries()) {
      if (i > 0) pieces.push(",");
      this.#add(pieces, entity);
    }
    pieces.push(`],"timestamp":"${this.#nowText}"}`);
    return joined(pieces, room);
  }

  #add(pieces: Pieces, { entityId, read: { document, revision, source } }: AskedEntity): void {
    pieces.push(`{"entity_id":${JSON.stringify(entityId)},"features":{`);
    let isFirst = true;
    for (const run of this.#question.runs) {
      const values = this.#valuesOf(run, document);
      if (values.length === 0) continue;
      if (!isFirst) pieces.push(",");
      pieces.push(values);
      isFirst = false;
    }
    pieces.push(
      `},"revision":${revision},"source":"${source}","cache_hit":${source !== "d1"},"timestamp":"${this.#nowText}"}`,
    );
  }

  #valuesOf(run: CategoryRun, document: EntityDocument | null): string | Uint8Array {
    const found = run.category === null ? undefined : document?.categories.get(run.category);
    if (found && run.isPlain && found.eventTimes === null && isLive(found, this.#now)) {
      const age = this.#now - found.eventTime;
      const freshness = this.#freshness(found.eventTime);
      if (age <= run.longest) return sharedBytes(found, run, { freshness, age, tally: this.#tally });
    }
    let texts = "";
    for (const asked of run.asked) {
      const text = this.#valueText(asked, found);
      if (text !== "") texts += texts === "" ? text : `,${text}`;
    }
    return texts;
  }

  #valueText(asked: Asked, found: DocumentCategory | undefined): string {
    const { feature, stored } = asked.one;
    if (stored === WHOLE_CATEGORY) {
      if (!found) return this.#missingText(asked);
      return feature ? this.#vectorText(asked, found) : this.#categoryText(asked.one, found);
    }
    const json = found && valuesOf(found).get(stored);
    if (!found || json === undefined) return this.#missingText(asked);
    return this.#presentText(asked, json, timesOf(found, stored));
  }

  /** A computed feature's value is its vector: the whole category, without what was merged into it and is over. */
  #vectorText(asked: Asked, found: DocumentCategory): string {
    const { longest } = asked;
    const live = liveCategory(found, this.#now, { byName: new Map(), others: longest, shortest: longest });
    const expiresAt = live ? null : Number.NEGATIVE_INFINITY;
    return this.#presentText(asked, live?.data ?? "", { eventTime: found.eventTime, expiresAt });
  }

  #categoryText(one: Resolved, found: DocumentCategory): string {
    const { catalog, entityType, maxAgeSeconds, names } = this.#question;
    const { category } = one;
    if (category === null) return "";
    // A feature read through its category has its registered TTL all the same.
    const registered = catalog.storedIn(entityType, category);
    const texts = [...valuesOf(found)].flatMap(([name, json]) => {
      const key = `${category}:${name}`;
      // A key stands in an answer once. That of the reference itself stands there only as a feature called `*`.
      if (names.has(key) && name !== WHOLE_CATEGORY) return [];
      const version = registered?.get(name)?.version ?? null;
      const asked = askedAs(key, one, { version, maxAgeSeconds });
      return this.#presentText(asked, json, timesOf(found, name));
    });
    return texts.join(",");
  }

  #missingText({ missing }: Asked): string {
    if (this.#tally) this.#tally.NOT_FOUND += 1;
    return missing;
  }

  #presentText(
    { head, tail, longest }: Asked,
    json: string,
    times: { eventTime: Micros; expiresAt: Micros | null },
  ): string {
    const tally = this.#tally;
    const age = this.#now - times.eventTime;
    let status: ValueStatus = json === "null" ? "NULL_VALUE" : "PRESENT";
    if (age > longest || !isLive(times, this.#now)) status = "OUTSIDE_MAX_AGE";
    if (status === "PRESENT") tally?.present(age);
    else if (tally) tally[status] += 1;
    const time = `"timestamp":"${formatTimestamp(times.eventTime)}","freshness_seconds":${this.#freshness(times.eventTime)}`;
    return `${head}${status === "PRESENT" ? json : "null"},"status":"${status}",${time}${tail}`;
  }

  #freshness(eventTime: Micros): string {
    let text = this.#ages.get(eventTime);
    if (text === undefined) {
      text = ((this.#now - eventTime) / MICROS_PER_SECOND).toFixed(FRESHNESS_DECIMALS);
      this.#ages.set(eventTime, text);
    }
    return text;
  }
}

/** @throws Problem 422 when it is more than an answer may have. */
function joined(pieces: Pieces, room?: ByteWriter): Uint8Array<ArrayBuffer> {
  const length = pieces.reduce((total, piece) => total + piece.length, 0);
  assertAnswerSize(length);
  const writer = room && length <= ONLINE_ROOM_BYTES ? room : new ByteWriter(0);
  writer.clear(length);
  for (const piece of pieces) {
    if (typeof piece === "string") writer.text(piece);
    else writer.bytes(piece);
  }
  return writer.end();
}
