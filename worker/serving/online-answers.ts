/** The answers of system B's online reads as JSON text. Pure: TTL and age are judged at `now`. */
import type { ValueStatus, ValueTally } from "../monitoring/value-tally.ts";
import type { Catalog, CatalogVersion } from "../registry/catalog.ts";
import { type Resolved, WHOLE_CATEGORY } from "../registry/resolve-references.ts";
import { formatTimestamp, MICROS_PER_SECOND, type Micros } from "../timestamps.ts";
import { type DocumentCategory, type EntityDocument, isLive, timesOf, valuesOf } from "./document.ts";
import { type Asked, type CategoryRun, runsOf, sharedText } from "./online-runs.ts";
import type { EntityRead } from "./read-entities.ts";

export interface OnlineQuestion {
  catalog: Catalog;
  entityType: string;
  resolved: readonly Resolved[];
  maxAgeSeconds: number | null;
  now: Micros;
  /** Takes note of every value answered; undefined where nobody counts. */
  tally?: ValueTally | undefined;
}

/** Answers one question for any number of entities: what is the same for all of them is made once. */
export class OnlineAnswers {
  readonly #question: OnlineQuestion;
  readonly #runs: readonly CategoryRun[];
  readonly #nowText: string;
  /** Values of a category mostly share their event time, and entities written together too. */
  readonly #times = new Map<Micros, string>();

  constructor(question: OnlineQuestion) {
    this.#question = question;
    this.#nowText = formatTimestamp(question.now);
    this.#runs = runsOf(question.resolved.map((one) => this.#ask(one, one.asked, one.version)));
  }

  /** One entity's features; keys are the references as they were asked for, `category:*` becomes one key a feature. */
  of(entityId: string, { document, revision, source }: EntityRead): string {
    let values = "";
    for (const run of this.#runs) {
      const text = this.#runText(run, document);
      if (text !== "") values += values === "" ? text : `,${text}`;
    }
    return `{"entity_id":${JSON.stringify(entityId)},"features":{${values}},"revision":${revision},"source":"${source}","cache_hit":${source !== "d1"},"timestamp":"${this.#nowText}"}`;
  }

  #runText(run: CategoryRun, document: EntityDocument | null): string {
    const found = run.category === null ? undefined : document?.categories.get(run.category);
    const { now, tally } = this.#question;
    if (found && run.isPlain && found.eventTimes === null && isLive(found, now)) {
      const age = now - found.eventTime;
      if (age <= run.longest)
        return sharedText(found, run, { time: this.#timeText(found.eventTime), age, tally });
    }
    let texts = "";
    for (const asked of run.asked) {
      const text = this.#valueText(asked, found);
      if (text !== "") texts += texts === "" ? text : `,${text}`;
    }
    return texts;
  }

  #ask(one: Resolved, key: string, version: CatalogVersion | null): Asked {
    const head = `${JSON.stringify(key)}:{"value":`;
    const tail = `,"version":${version?.version ?? null}}`;
    const limits = [this.#question.maxAgeSeconds, version?.ttlSeconds ?? null].filter(
      (limit) => limit !== null,
    );
    return {
      one,
      head,
      tail,
      missing: `${head}${version?.defaultValue ?? "null"},"status":"NOT_FOUND","timestamp":null,"freshness_seconds":null${tail}`,
      longest: Math.min(...limits) * MICROS_PER_SECOND,
    };
  }

  #valueText(asked: Asked, found: DocumentCategory | undefined): string {
    const { feature, stored } = asked.one;
    if (stored === WHOLE_CATEGORY) {
      // A computed feature's value is its vector: the whole category, as it is stored.
      if (feature) return found ? this.#presentText(asked, found.data, found) : this.#missingText(asked);
      return found ? this.#categoryText(asked.one, found) : this.#missingText(asked);
    }
    const json = found && valuesOf(found).get(stored);
    if (!found || json === undefined) return this.#missingText(asked);
    return this.#presentText(asked, json, timesOf(found, stored));
  }

  #categoryText(one: Resolved, found: DocumentCategory): string {
    const { catalog, entityType } = this.#question;
    const { category } = one;
    if (category === null) return "";
    // A feature read through its category has its registered TTL all the same.
    const registered = catalog.storedIn(entityType, category);
    const texts = [...valuesOf(found)].map(([name, json]) => {
      const asked = this.#ask(one, `${category}:${name}`, registered?.get(name)?.version ?? null);
      return this.#presentText(asked, json, timesOf(found, name));
    });
    return texts.join(",");
  }

  #missingText({ missing }: Asked): string {
    const { tally } = this.#question;
    if (tally) tally.NOT_FOUND += 1;
    return missing;
  }

  #presentText(
    { head, tail, longest }: Asked,
    json: string,
    times: { eventTime: Micros; expiresAt: Micros | null },
  ): string {
    const { now, tally } = this.#question;
    const age = now - times.eventTime;
    let status: ValueStatus = json === "null" ? "NULL_VALUE" : "PRESENT";
    if (age > longest || !isLive(times, now)) status = "OUTSIDE_MAX_AGE";
    if (status === "PRESENT") tally?.present(age);
    else if (tally) tally[status] += 1;
    return `${head}${status === "PRESENT" ? json : "null"},"status":"${status}",${this.#timeText(times.eventTime)}${tail}`;
  }

  #timeText(eventTime: Micros): string {
    let text = this.#times.get(eventTime);
    if (text === undefined) {
      const freshness = (this.#question.now - eventTime) / MICROS_PER_SECOND;
      text = `"timestamp":"${formatTimestamp(eventTime)}","freshness_seconds":${freshness}`;
      this.#times.set(eventTime, text);
    }
    return text;
  }
}
