/**
 * Clients that write until the service dies, and afterwards know what they were told. Every write replaces the same
 * categories of an entity with values that name the write, so that what belongs together can be told from the values.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Answer, ask, type Service, waitUntil } from "../setup/service.ts";
import { pick, randomOf } from "./random.ts";

export const ENTITIES = Array.from({ length: 24 }, (_, i) => `entity-${i}`);
export const CATEGORIES = ["profile", "credit", "device"];

const CLIENTS = 16;
const READERS = 2;
const SEED = 20261102;
const ROWS_PER_BATCH = 8;
/** Before a kill, so that there is something to lose on a busy machine too. */
const MIN_ACKNOWLEDGED = 60;
const TOKEN = "x-consistency-token";

export interface Acknowledged {
  id: string;
  entity: string;
  revision: number;
}

/** A request that writes; each entity in it is a write with an `id` of its own. */
interface WriteRequest {
  path: "/api/v1/items" | "/api/v1/items/batch";
  key: string | null;
  rows: { id: string; entity: string }[];
}

interface Written {
  revision: number;
  outcome: string;
}
type WriteAnswer = Answer<Written & { results: Written[] }>;

/** One category as it was read. */
export interface Read {
  revision: number;
  features: { data: Record<string, unknown> };
  source: string;
}

export const valuesOf = (id: string, category: string) => ({ id, category, both: `${id} ${category}` });

export class CrashWriters {
  /** By the id of the write. */
  readonly acknowledged = new Map<string, Acknowledged>();
  readonly figures = { unanswered: 0, sentAgain: 0, replayed: 0, seconds: 0 };
  /** What was seen that breaks a guarantee, by the guarantee. */
  readonly faults = {
    refused: [] as string[],
    lost: [] as string[],
    halfDone: [] as string[],
    repeated: [] as string[],
    stale: [] as string[],
  };
  readonly #issued = new Map<string, string>();
  readonly #last = new Map<string, Acknowledged & { token: string }>();
  #unanswered: WriteRequest[] = [];
  #answered: WriteRequest[] = [];

  /** Writes and reads from many clients, then kills the service under them. */
  async writeUntilKilled(
    service: Service,
    { round, afterMs }: { round: number; afterMs: number },
  ): Promise<void> {
    this.#unanswered = [];
    this.#answered = [];
    const startedMs = Date.now();
    const before = this.acknowledged.size;
    const death = { isHere: false };
    const clients = [
      ...Array.from({ length: CLIENTS }, (_, i) => this.#write(service, death, SEED + round * 100 + i)),
      ...Array.from({ length: READERS }, (_, i) => this.#read(service, death, SEED - round * 100 - i)),
    ];
    await waitUntil(() => this.acknowledged.size - before > MIN_ACKNOWLEDGED, {
      timeoutMs: 30_000,
      what: () =>
        `hardly any write is acknowledged: ${this.faults.refused.slice(0, 3)}\n${service.output().slice(-4_000)}`,
    });
    await sleep(afterMs);
    const dying = service.kill();
    death.isHere = true;
    this.figures.seconds += (Date.now() - startedMs) / 1_000;
    await Promise.all([dying, ...clients]);
    this.figures.unanswered += this.#unanswered.length;
  }

  async #write(service: Service, death: { isHere: boolean }, seed: number): Promise<void> {
    const random = randomOf(seed);
    while (!death.isHere) {
      const request = this.#newRequest(random);
      const answer = await send(service, request).catch(() => null);
      if (!answer) this.#unanswered.push(request);
      else if (this.#note(request, answer) && request.key !== null) this.#answered.push(request);
    }
  }

  /** Readers make the service keep cached documents, which have to follow the writes. */
  async #read(service: Service, death: { isHere: boolean }, seed: number): Promise<void> {
    const random = randomOf(seed);
    while (!death.isHere) {
      await readCategory(service, pick(random, ENTITIES), pick(random, CATEGORIES)).catch(() => null);
      await sleep(5);
    }
  }

  #newRequest(random: () => number): WriteRequest {
    const isBatch = random() < 0.3;
    const rows = Array.from({ length: isBatch ? ROWS_PER_BATCH : 1 }, () => ({
      id: randomUUID(),
      entity: pick(random, ENTITIES),
    }));
    for (const { id, entity } of rows) this.#issued.set(id, entity);
    const key = random() < 0.5 ? randomUUID() : null;
    return { path: isBatch ? "/api/v1/items/batch" : "/api/v1/items", key, rows };
  }

  /** Takes down what an answer says; false when it says that something was not applied. */
  #note(request: WriteRequest, { status, body, headers }: WriteAnswer): boolean {
    const results = status === 200 ? (body.results ?? [body]) : [];
    if (!request.rows.every((_, i) => results[i]?.outcome === "applied")) {
      this.faults.refused.push(`${status} ${JSON.stringify(body)}`);
      return false;
    }
    request.rows.forEach(({ id, entity }, i) => {
      const revision = results[i]?.revision ?? 0;
      const before = this.acknowledged.get(id)?.revision ?? revision;
      if (before !== revision) this.faults.repeated.push(`${id} was revision ${before}, then ${revision}`);
      const one = { id, entity, revision };
      this.acknowledged.set(id, one);
      if (revision > (this.#last.get(entity)?.revision ?? 0)) {
        this.#last.set(entity, { ...one, token: headers.get(TOKEN) ?? "" });
      }
    });
    return true;
  }

  /**
   * Reads with the tokens of the newest writes from a process that has not seen them, while cached documents may be
   * older. Only half of the entities: the others' first read is to be a strong one.
   */
  async checkTokens(service: Service): Promise<void> {
    const half = [...this.#last.values()].filter((_, i) => i % 2 === 0);
    await Promise.all(
      half.map(async ({ entity, revision, token }) => {
        const read = await readCategory(service, entity, "profile", { consistency: "session", token });
        if (!read || read.revision < revision) {
          this.faults.stale.push(`${entity}: ${read?.source} ${read?.revision}, written was ${revision}`);
        }
      }),
    );
  }

  /** Reads every entity strongly. Nobody writes meanwhile: it is what the kill has left. */
  async checkEverything(service: Service): Promise<void> {
    await Promise.all(
      ENTITIES.map(async (entity) => {
        const reads = await Promise.all(
          CATEGORIES.map((category) => readCategory(service, entity, category, { consistency: "strong" })),
        );
        const [first] = reads;
        const id = String(first?.features.data.id);
        const revision = first?.revision ?? 0;
        const isWhole = reads.every((read, i) =>
          first
            ? read?.revision === revision &&
              JSON.stringify(read.features.data) === JSON.stringify(valuesOf(id, CATEGORIES[i] ?? ""))
            : !read,
        );
        if (!isWhole) this.faults.halfDone.push(`${entity}: ${JSON.stringify(reads)}`);
        const expected = this.#last.get(entity);
        if (expected && !this.#isKept({ id, entity, revision }, expected)) {
          this.faults.lost.push(`${JSON.stringify(expected)}, but there is ${JSON.stringify(first)}`);
        }
      }),
    );
  }

  /** The newest acknowledged write stands; past it there can only be one whose answer was lost. */
  #isKept({ id, entity, revision }: Acknowledged, expected: Acknowledged): boolean {
    const known = this.acknowledged.get(id);
    return (
      this.#issued.get(id) === entity &&
      (known ? known.revision === revision && id === expected.id : revision > expected.revision)
    );
  }

  /** Sends again what has a key: the requests without an answer, then these and some others as repetitions. */
  async sendAgain(service: Service): Promise<void> {
    const keyed = this.#unanswered.filter(({ key }) => key !== null);
    await Promise.all(keyed.map(async (request) => this.#note(request, await send(service, request))));
    for (const request of [...keyed, ...this.#answered.slice(-10)]) {
      const answer = await send(service, request);
      this.#note(request, answer);
      if (answer.headers.get("idempotency-replayed") === "true") this.figures.replayed += 1;
      else this.faults.repeated.push(`${request.key} was not recognised: ${answer.status}`);
    }
    this.figures.sentAgain += keyed.length;
  }
}

/** Null when there is none. */
export async function readCategory(
  service: Service,
  entity: string,
  category: string,
  { consistency, token }: { consistency: "edge" | "session" | "strong"; token?: string } = {
    consistency: "edge",
  },
): Promise<Read | null> {
  const path = `/api/v1/get/item/${entity}/${category}?consistency=${consistency}`;
  const headers = token === undefined ? {} : { [TOKEN]: token };
  const { status, body } = await ask<Read>(service, `GET ${path}`, { headers });
  return status === 200 ? body : null;
}

function send(service: Service, { path, key, rows }: WriteRequest): Promise<WriteAnswer> {
  const entities = rows.map(({ id, entity }) => ({
    entity_type: "bright_uid",
    entity_value: entity,
    feature_list: CATEGORIES.map((category) => ({ category, features: valuesOf(id, category) })),
  }));
  const data = path === "/api/v1/items" ? entities[0] : entities;
  return ask(service, `POST ${path}`, {
    body: { metadata: { source: "prediction_service" }, data },
    headers: key === null ? {} : { "Idempotency-Key": key },
  });
}
