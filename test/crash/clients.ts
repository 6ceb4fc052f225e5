/**
 * Clients that write, delete and read the same few entities at the same time, until they have done enough or the
 * service dies under them, and take down every answer. They live on when it is started again, with their tokens.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { randomOf } from "../../scripts/random.ts";
import { pick } from "../setup/random.ts";
import { type Answer, ask } from "../setup/service.ts";
import type { Operation, Outcome, Refusal } from "./history.ts";
import {
  type EntityRef,
  type Entry,
  type Request,
  readCategoryRequest,
  readRequest,
  retryAfterMs,
  TOKEN_HEADER,
} from "./requests.ts";
import { Workload, WRITES_UNTIL } from "./workload.ts";
import { CATEGORIES } from "./writes.ts";

export interface Life {
  service: { url: string };
  /** They are counted from 1. */
  number: number;
  isOver: boolean;
  /** Nobody begins a write. */
  isCalm?: boolean;
  /** Nothing is written behind the answers. */
  isWithoutErrands?: boolean;
}

interface Client {
  number: number;
  /** Of its newest write. */
  token: string | null;
  earlier: Entry | null;
  /** Until then it was asked to write nothing. */
  writesFromMs: number;
}

/** What else a client does now and then. */
export type Errand = (random: () => number, life: Life) => Promise<void>;

/** Was told of nothing, so that no other promise binds what it reads. */
const STRANGER: Client = { number: -2, token: null, earlier: null, writesFromMs: 0 };

const KEY_HEADER = "Idempotency-Key";
/** Afterwards clients take their time: else what is owed for their writes grows as long as the process lives. */
const BUSY_MS = 15_000;
const SLOW_STEP_MS = 500;
/** Of what a client does, from 0 to 1: all that comes after it changes nothing. */
const READS_FROM = 0.52;

export class Clients {
  readonly operations: Operation[] = [];
  /** Answers that no client should get. */
  readonly unexpected: string[] = [];
  /** Writes that were to be tried again later. */
  readonly refusals: Refusal[] = [];
  readonly figures = { unanswered: 0, sentAgain: 0, replayed: 0, fromCache: 0 };
  readonly #workload: Workload;
  readonly #clients: Client[];
  readonly #errand: Errand | null;
  #writing = 0;
  #unanswered: Request[] = [];
  #answered: Request[] = [];

  /** @param options.quiet Entities beside the others that are written seldom. */
  constructor({
    clients,
    entities,
    quiet = 0,
    errand,
  }: { clients: number; entities: number; quiet?: number; errand: Errand | null }) {
    this.#clients = Array.from({ length: clients }, (_, i) => ({ ...STRANGER, number: i }));
    this.#workload = new Workload({ entities, quiet });
    this.#errand = errand;
  }

  /** Writes all that are seldom written once. */
  async fill(life: Life): Promise<void> {
    const filler = { ...STRANGER };
    const requests = this.#workload.fill(randomOf(this.#clients.length));
    for (const request of requests) await this.#send(filler, request, life);
  }

  /** Whether a write is under way. */
  get isWriting(): boolean {
    return this.#writing > 0;
  }

  async run(
    life: Life,
    { seed, steps = Number.POSITIVE_INFINITY }: { seed: number; steps?: number },
  ): Promise<void> {
    this.#unanswered = [];
    this.#answered = [];
    const startedMs = performance.now();
    await Promise.all(
      this.#clients.map(async (client) => {
        const random = randomOf(seed * 1_000 + client.number);
        for (let step = 0; step < steps && !life.isOver; step++) {
          await this.#step(client, random, life);
          if (performance.now() - startedMs > BUSY_MS) await sleep(SLOW_STEP_MS);
        }
      }),
    );
  }

  /**
   * Sends again what has a key: the requests without an answer, then these and some others as repetitions.
   *
   * @param isKnown Whether the writer of an entity is the one that it had.
   */
  async sendAgain(life: Life, isKnown: (entity: EntityRef) => boolean = () => true): Promise<void> {
    const isOfKnown = ({ entries }: Request) => entries.every(({ entity }) => isKnown(entity));
    const keyed = this.#unanswered.filter((one) => one.headers[KEY_HEADER] && isOfKnown(one));
    const again = { ...STRANGER, number: -1 };
    const answers = await Promise.all(keyed.map((request) => this.#send(again, request, life)));
    const taken = keyed.filter((_, i) => answers[i] && retryAfterMs(answers[i]) === null);
    for (const request of [...taken, ...this.#answered.slice(-10).filter(isOfKnown)]) {
      const answer = await this.#send(again, request, life);
      // A refusal says the same again, as an error, which does not say that it does.
      if (answer?.headers.get("idempotency-replayed") === "true") this.figures.replayed += 1;
      else if (answer?.status !== 404 && answer?.status !== 409 && !(answer && retryAfterMs(answer)))
        this.unexpected.push(`${request.headers[KEY_HEADER]} was not recognised: ${answer?.status}`);
    }
    this.figures.sentAgain += taken.length;
  }

  /**
   * Each client reads with its token, in a process that may not have seen its write; then everything strongly. Only
   * half of the entities by tokens: the others' first read is to be a strong one.
   */
  async readEverything(life: Life): Promise<void> {
    const [first] = this.#clients;
    if (!first) return;
    const { entities } = this.#workload;
    const half = entities.filter((_, i) => i % 2 === 0);
    await Promise.all(
      this.#clients.map((client) => this.#read(client, life, pick(Math.random, half), "session")),
    );
    await Promise.all(entities.map((entity) => this.#read(first, life, entity, "strong")));
    await Promise.all(entities.map((entity) => this.#read(first, life, entity, "edge")));
  }

  /**
   * In a process that knows nothing, when nothing is owed: what caches hold now they will hold, and it is what the database
   * has.
   */
  async readAtRest(life: Life): Promise<void> {
    const { entities, quiet } = this.#workload;
    const tokens = this.#clients.flatMap(({ token }) => token ?? []);
    const kinds = ["edge", ...(tokens.length > 0 ? (["session"] as const) : []), "strong"] as const;
    for (const consistency of kinds) {
      const reads = [...entities, ...quiet].map(async (entity, i) => {
        const token = tokens[i % tokens.length] ?? null;
        const action = { kind: "read", consistency, categories: CATEGORIES } as const;
        const request = readRequest(
          this.#workload.entry(entity, action),
          consistency === "session" ? token : null,
        );
        const answer: Answer<{ source?: string }> | null = await this.#send(STRANGER, request, life, true);
        if (answer?.body.source === "kv" && consistency === "edge") this.figures.fromCache += 1;
      });
      await Promise.all(reads);
    }
  }

  async #step(client: Client, random: () => number, life: Life): Promise<void> {
    const entity = this.#workload.pick(random);
    const isPatient = life.isCalm === true || performance.now() < client.writesFromMs;
    const dice = isPatient ? READS_FROM + random() * (1 - READS_FROM) : random();
    if (dice < WRITES_UNTIL) {
      const request = this.#workload.write(random, dice, client.earlier);
      const isKeyed = random() < 0.5;
      if (isKeyed) request.headers[KEY_HEADER] = `key-${life.number}-${this.#workload.newNumber()}`;
      await this.#send(client, request, life);
    } else if (dice < READS_FROM && this.#errand && !life.isWithoutErrands) await this.#errand(random, life);
    else if (dice < 0.62) {
      const category = pick(random, CATEGORIES);
      const entry = this.#workload.entry(entity, {
        kind: "read",
        consistency: "edge",
        categories: [category],
      });
      await this.#send(client, readCategoryRequest(entry, category), life);
    } else if (dice < 0.74) await this.#read(client, life, entity, "edge");
    else if (dice < 0.88) await this.#read(client, life, entity, "session");
    else await this.#read(client, life, entity, "strong");
  }

  async #read(
    client: Client,
    life: Life,
    entity: EntityRef,
    asked: "edge" | "session" | "strong",
  ): Promise<void> {
    const consistency = asked === "session" && client.token === null ? "strong" : asked;
    const entry = this.#workload.entry(entity, {
      kind: "read",
      consistency,
      categories: CATEGORIES,
    } as const);
    await this.#send(client, readRequest(entry, consistency === "session" ? client.token : null), life);
  }

  async #send(client: Client, request: Request, life: Life, isAtRest = false): Promise<Answer<never> | null> {
    const { asked, body, headers } = request;
    const calledMs = performance.now();
    const isWrite = request.entries[0]?.action.kind === "change";
    this.#writing += isWrite ? 1 : 0;
    try {
      const answer = await ask<never>(life.service, asked, { body, headers });
      const outcomes = request.read(answer);
      const answeredMs = performance.now();
      const retryMs = isWrite ? retryAfterMs(answer) : null;
      if (outcomes) this.#note(client, request, { life, calledMs, answeredMs, isAtRest }, outcomes);
      else {
        if (retryMs === null)
          this.unexpected.push(`${asked}: ${answer.status} ${JSON.stringify(answer.body)}`);
        else this.refusals.push({ asked, calledMs, answeredMs });
        client.writesFromMs = answeredMs + (retryMs ?? 0);
        // Of a batch some writers may have taken their part.
        this.#noteUnknown(client, request, { life, calledMs });
      }
      const token = answer.headers.get(TOKEN_HEADER);
      if (isWrite && token !== null) client.token = token;
      const [only] = request.entries;
      if (only && answer.status === 200 && request.entries.length === 1 && isTimed(only))
        client.earlier = only;
      if (isWrite && headers[KEY_HEADER] && outcomes) this.#answered.push(request);
      return answer;
    } catch (cause) {
      if (!life.isOver) await new Promise((resolve) => setTimeout(resolve, 50));
      if (!life.isOver) this.unexpected.push(`${asked}: ${cause}`);
      if (!isWrite || isRefusedConnection(cause)) return null;
      this.figures.unanswered += 1;
      this.#noteUnknown(client, request, { life, calledMs });
      return null;
    } finally {
      this.#writing -= isWrite ? 1 : 0;
    }
  }

  #noteUnknown(client: Client, request: Request, times: { life: Life; calledMs: number }): void {
    const unknown = request.entries.map((): Outcome => ({ kind: "unknown" }));
    this.#note(client, request, { ...times, answeredMs: null }, unknown);
    this.#unanswered.push(request);
  }

  #note(
    client: Client,
    { entries }: Request,
    { life, ...times }: { life: Life; calledMs: number; answeredMs: number | null; isAtRest?: boolean },
    outcomes: readonly Outcome[],
  ): void {
    entries.forEach(({ id, entity, action }, i) => {
      const outcome = outcomes[i] ?? { kind: "unknown" };
      const { type, value } = entity;
      const rest = { ...times, action, outcome };
      this.operations.push({
        id,
        client: client.number,
        life: life.number,
        entity: `${type}/${value}`,
        ...rest,
      });
      this.#workload.told(entity, "revision" in outcome ? (outcome.revision ?? 0) : 0);
    });
  }
}

/** It never left this machine. */
function isRefusedConnection(cause: unknown): boolean {
  const inner = cause instanceof Error ? cause.cause : null;
  return inner instanceof Error && "code" in inner && inner.code === "ECONNREFUSED";
}

function isTimed({ action }: Entry): boolean {
  return (
    action.kind === "change" &&
    action.change.kind === "write" &&
    action.change.parts.every(({ time }) => time !== "now")
  );
}
