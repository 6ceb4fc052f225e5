/**
 * Clients that write, delete and read the same few entities at the same time, and take down every answer: with it
 * the story of each entity can be told again.
 */
import { type Answer, type Asked, ask } from "../setup/service.ts";
import type { Change, Part } from "./model.ts";
import { pick, randomOf } from "./random.ts";

export interface EntityRef {
  type: "bright_uid" | "account_id";
  value: string;
}

/** What an answer said became of a write. `floor`: the highest revision known to any client before it was sent. */
export interface Told {
  entity: EntityRef;
  change: Change;
  outcome: string;
  revision: number;
  updated: string[];
  floor: number;
}

/** What a read showed. `revision` is null where the answer was 404; `atLeast` is what the read was promised. */
export interface Seen {
  entity: EntityRef;
  consistency: "edge" | "strong" | "session";
  atLeast: number;
  revision: number | null;
  present: Record<string, { data: unknown; id: string | null; createdAt: string }>;
  absent: string[];
}

/** A write with `if_revision`; `revision` is that after it, null when it was refused. */
export interface Guarded {
  expected: number;
  revision: number | null;
}

type Write = Change & { kind: "write" };

interface Token {
  entity: EntityRef;
  revision: number;
  text: string;
}

interface Written {
  outcome: string;
  revision: number;
  categories_updated: string[];
}

interface Meta {
  created_at: string;
  compute_id: string | null;
}

/** Written at the time at which the store takes the write; at times that the client names; at both. */
export const CATEGORIES = ["current", "timed", "mixed"] as const;
const FEATURES = ["a", "b", "c", "d", "e"];
/**
 * Only some entities are deleted whole: little is left to do after that, as all that is older is kept out. They get no
 * times to come, or their deletion would keep out all that is written now.
 */
const MORTAL_SHARE = 0.25;
const METADATA = { source: "prediction_service" };
const DAY_MICROS = 86_400_000_000;

/** Before all times of the store's own, and after all older ones that a client names. */
export const STARTED_MICROS = Date.now() * 1_000;

export class Workload {
  readonly told: Told[] = [];
  readonly seen: Seen[] = [];
  readonly guarded: Guarded[] = [];
  /** Answers that no client should get. */
  readonly unexpected: string[] = [];
  readonly #service: { url: string };
  readonly #entities: readonly EntityRef[];
  readonly #mortal: readonly EntityRef[];
  readonly #known = new Map<EntityRef, number>();
  #lastTime = 0;

  constructor(service: { url: string }, entities: readonly EntityRef[]) {
    this.#service = service;
    this.#entities = entities;
    this.#mortal = entities.slice(0, entities.length * MORTAL_SHARE);
  }

  /** The highest revision that any client was told of. */
  known(entity: EntityRef): number {
    return this.#known.get(entity) ?? 0;
  }

  async runClient(seed: number, steps: number): Promise<void> {
    const random = randomOf(seed);
    let token: Token | null = null;
    let earlier: { entity: EntityRef; change: Write } | null = null;
    for (let step = 0; step < steps; step++) {
      const entity = pick(random, this.#entities);
      const id = `w${seed}-${step}`;
      const dice = random();
      if (dice < 0.28) {
        const change = this.#newWrite(random, entity, id);
        token = (await this.#write(entity, change)) ?? token;
        if (change.parts.every(({ time }) => time !== "now")) earlier = { entity, change };
      } else if (dice < 0.34 && earlier) await this.#write(earlier.entity, earlier.change);
      else if (dice < 0.4) await this.#writeIfRevision(entity, this.#newWrite(random, entity, id));
      else if (dice < 0.47) token = (await this.#writeBatch(random, id)) ?? token;
      else if (dice < 0.53) await this.#writeShort(entity, this.#newWrite(random, entity, id));
      else if (dice < 0.56) await this.#remove(entity, pick(random, CATEGORIES));
      else if (dice < 0.57) await this.#remove(pick(random, this.#mortal), null);
      else if (dice < 0.67) await this.#readCategory(entity, pick(random, CATEGORIES));
      else if (dice < 0.8) await this.#read(entity, { consistency: "edge", atLeast: 0 });
      else if (dice < 0.88 || !token) await this.readStrong(entity);
      else {
        const { revision: atLeast, text } = token;
        await this.#read(token.entity, { consistency: "session", atLeast, token: text });
      }
    }
  }

  readStrong(entity: EntityRef): Promise<void> {
    return this.#read(entity, { consistency: "strong", atLeast: this.known(entity) });
  }

  #newWrite(random: () => number, entity: EntityRef, id: string): Write {
    const mayBeLater = !this.#mortal.includes(entity);
    const first = Math.floor(random() * CATEGORIES.length);
    const count = 1 + Math.floor(random() * CATEGORIES.length);
    const parts = CATEGORIES.slice(first, first + count).map((category): Part => {
      const isNow = category === "current" ? random() < 0.9 : category === "mixed" && random() < 0.6;
      const names = FEATURES.filter(() => random() < 0.5);
      return {
        category,
        mode: random() < (category === "mixed" ? 0.1 : 0.5) ? "replace" : "merge",
        time: isNow ? "now" : this.#newTime(random, mayBeLater && category === "timed"),
        features: Object.fromEntries([...names, "f"].map((name) => [name, id])),
      };
    });
    return { kind: "write", id, parts };
  }

  /** Distinct times in any order, before the store's own; where that may be, after them too. */
  #newTime(random: () => number, mayBeLater: boolean): number {
    this.#lastTime += 1;
    const day = mayBeLater && random() < 0.3 ? DAY_MICROS : -DAY_MICROS;
    return STARTED_MICROS + day + Math.floor(random() * 1e6) * 10_000 + this.#lastTime;
  }

  async #write(entity: EntityRef, change: Write): Promise<Token | null> {
    const floor = this.known(entity);
    const body = { metadata: METADATA, data: entityBody(entity, change) };
    const answer = await this.#ask<Written>("POST /api/v1/items", [200], { body });
    if (!answer) return null;
    this.#note(entity, change, answer.body, floor);
    return { entity, revision: answer.body.revision, text: tokenOf(answer) };
  }

  async #writeIfRevision(entity: EntityRef, change: Write): Promise<void> {
    const floor = this.known(entity);
    const body = { metadata: METADATA, data: { ...entityBody(entity, change), if_revision: floor } };
    const answer = await this.#ask<Written>("POST /api/v1/items", [200, 409], { body });
    if (answer?.status === 409) this.guarded.push({ expected: floor, revision: null });
    if (answer?.status !== 200) return;
    this.#note(entity, change, answer.body, floor);
    const { outcome, revision } = answer.body;
    if (outcome === "applied") this.guarded.push({ expected: floor, revision });
  }

  async #writeBatch(random: () => number, id: string): Promise<Token | null> {
    const rows = Array.from({ length: 6 }, (_, i) => {
      const entity = pick(random, this.#entities);
      return { entity, change: this.#newWrite(random, entity, `${id}-${i}`), floor: this.known(entity) };
    });
    const body = { metadata: METADATA, data: rows.map(({ entity, change }) => entityBody(entity, change)) };
    const answer = await this.#ask<{ results: Written[] }>("POST /api/v1/items/batch", [200], { body });
    if (!answer) return null;
    const tokens = rows.flatMap(({ entity, change, floor }, i) => {
      const result = answer.body.results[i];
      if (!result || result.outcome === "rejected") {
        this.unexpected.push(`row ${i} of a batch: ${JSON.stringify(result)}`);
        return [];
      }
      this.#note(entity, change, result, floor);
      return [{ entity, revision: result.revision, text: tokenOf(answer) }];
    });
    return tokens.at(-1) ?? null;
  }

  /** The short form of `001`: each category is replaced, now, and there is no place for an id. */
  async #writeShort(entity: EntityRef, { parts }: Write): Promise<void> {
    const floor = this.known(entity);
    const body = Object.fromEntries(parts.map(({ category, features }) => [category, features]));
    const request = `POST /api/v1/items/${entity.value}?table_type=${entity.type}`;
    const answer = await this.#ask<Written>(request, [200], { body });
    const replaced = parts.map((part): Part => ({ ...part, mode: "replace", time: "now" }));
    if (answer) this.#note(entity, { kind: "write", id: null, parts: replaced }, answer.body, floor);
  }

  async #remove(entity: EntityRef, category: string | null): Promise<void> {
    const floor = this.known(entity);
    const path = [entity.type, entity.value, ...(category === null ? [] : [category])].join("/");
    const answer = await this.#ask<{ revision: number; categories_removed: string[] }>(
      `DELETE /api/v1/entities/${path}`,
      [200, 404],
    );
    if (answer?.status !== 200) return;
    const { revision, categories_removed: removed } = answer.body;
    const result = { outcome: "deleted", revision, categories_updated: removed };
    this.#note(entity, { kind: "delete", category }, result, floor);
  }

  async #readCategory(entity: EntityRef, category: string): Promise<void> {
    interface Item {
      features: { data: unknown; meta: Meta };
      revision: number;
    }
    const path = `/api/v1/get/item/${entity.value}/${category}?entity_type=${entity.type}`;
    const answer = await this.#ask<Item>(`GET ${path}`, [200, 404]);
    if (!answer) return;
    const read = { entity, consistency: "edge", atLeast: 0 } as const;
    if (answer.status === 404) this.seen.push({ ...read, revision: null, present: {}, absent: [category] });
    else {
      const { features, revision } = answer.body;
      const present = { [category]: shown(features.data, features.meta) };
      this.seen.push({ ...read, revision, present, absent: [] });
    }
  }

  async #read(
    entity: EntityRef,
    { token, ...promise }: { consistency: Seen["consistency"]; atLeast: number; token?: string },
  ): Promise<void> {
    interface Items {
      items: Record<string, { features: { data: unknown; metadata: Meta } }>;
      unavailable_feature_categories: string[];
      revision: number;
    }
    const data = {
      entity_type: entity.type,
      entity_value: entity.value,
      feature_list: CATEGORIES.map((category) => `${category}:*`),
      consistency: promise.consistency,
    };
    const answer = await this.#ask<Items>("POST /api/v1/get/items", [200, 404], {
      body: { meta: { source: "api" }, data },
      headers: token === undefined ? {} : { "x-consistency-token": token },
    });
    if (!answer) return;
    if (answer.status === 404) {
      this.seen.push({ entity, ...promise, revision: null, present: {}, absent: [...CATEGORIES] });
      return;
    }
    const { items, unavailable_feature_categories: absent, revision } = answer.body;
    const present = Object.fromEntries(
      Object.entries(items).map(([name, { features }]) => [name, shown(features.data, features.metadata)]),
    );
    this.seen.push({ entity, ...promise, revision, present, absent });
  }

  async #ask<T>(request: string, allowed: number[], asked: Asked = {}): Promise<Answer<T> | null> {
    try {
      const answer = await ask<T>(this.#service, request, asked);
      if (allowed.includes(answer.status)) return answer;
      this.unexpected.push(`${request}: ${answer.status} ${JSON.stringify(answer.body)}`);
    } catch (cause) {
      this.unexpected.push(`${request}: ${cause}`);
    }
    return null;
  }

  #note(entity: EntityRef, change: Change, result: Written, floor: number): void {
    const { outcome, revision, categories_updated: updated } = result;
    this.told.push({ entity, change, outcome, revision, updated, floor });
    this.#known.set(entity, Math.max(this.known(entity), revision));
  }
}

function entityBody({ type, value }: EntityRef, { id, parts }: Write) {
  return {
    entity_type: type,
    entity_value: value,
    feature_list: parts.map(({ category, mode, time, features }) => ({
      category,
      mode,
      features,
      compute_id: id,
      ...(time !== "now" && { event_timestamp: timestampOf(time) }),
    })),
  };
}

function shown(data: unknown, { compute_id: id, created_at: createdAt }: Meta) {
  return { data, id, createdAt };
}

function tokenOf({ headers }: Answer<unknown>): string {
  return headers.get("x-consistency-token") ?? "";
}

function timestampOf(micros: number): string {
  const rest = String(micros % 1_000).padStart(3, "0");
  return new Date(Math.floor(micros / 1_000)).toISOString().replace("Z", `${rest}+00:00`);
}
