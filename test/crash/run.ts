/**
 * The crash run: clients work on the real service, `kill -9` takes it away at a random moment, it is started again on
 * what it left, and in the end the checker is shown all that was seen.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { randomOf } from "../../scripts/random.ts";
import { SavedState } from "../process/state-files.ts";
import { newDirectory, type Service, startService, waitUntil } from "../setup/service.ts";
import { checkHistory } from "./check.ts";
import { Clients, type Life } from "./clients.ts";
import type { Finding, History, TableHistory } from "./history.ts";
import { Receiver } from "./receiver.ts";
import { announcements } from "./seen-events.ts";
import { type ComputedRow, Tables } from "./tables.ts";

export interface CrashOptions {
  rounds: number;
  seed: number;
  clients?: number;
  /** Over how many the entities are spread. */
  databases?: number;
  /** Every how many rounds a computation is started that outlives its process; 0: never. */
  jobEvery?: number;
  say?: (line: string) => void;
}

export interface CrashReport {
  history: History;
  findings: Finding[];
  /** Answers and deliveries that nobody should get. */
  unexpected: string[];
  /** What the service itself has complained of, with how often: no fault as such, but the place to look first. */
  complaints: [line: string, times: number][];
  figures: Record<string, number>;
}

const ENTITIES = 24;
/** Before a kill, so that there is something to lose on a busy machine too. */
const MIN_OPERATIONS = 150;
const LONGEST_LIFE_MS = 1_800;
/** A second kill falls into what the new process does first: to pay what the dead one owed. */
const LONGEST_SHORT_LIFE_MS = 400;
const ROUNDS_PER_TABLE = 4;
const REST_MS = 90_000;

export async function crashRun(options: CrashOptions): Promise<CrashReport> {
  const run = new CrashRun(options);
  try {
    return await run.run();
  } finally {
    run.receiver.close();
  }
}

class CrashRun {
  readonly receiver: Receiver;
  readonly #options: Required<CrashOptions>;
  readonly #random: () => number;
  readonly #state = newDirectory();
  readonly #services: Service[] = [];
  readonly #tables = new Tables();
  readonly #clients: Clients;
  readonly #startedMs = Date.now();
  #kills = 0;

  constructor({ rounds, seed, clients = 32, databases = 1, jobEvery = 5, say = () => {} }: CrashOptions) {
    this.#options = { rounds, seed, clients, databases, jobEvery, say };
    this.#random = randomOf(seed);
    this.receiver = new Receiver(seed);
    this.#clients = new Clients({
      clients,
      entities: ENTITIES,
      errand: (random, life) => this.#tables.ingestOrCompute(random, life),
    });
  }

  async run(): Promise<CrashReport> {
    let life = await this.#start([]);
    await this.receiver.subscribe(life.service);
    for (let round = 1; round <= this.#options.rounds; round++) life = await this.#round(life, round);
    const tables = await this.#tables.rest(life.service, () => this.#readComputed());
    const owed = await this.#drain(life.service);
    await life.service.kill();
    life = await this.#start(["--no-build"]);
    await this.#clients.readAtRest(life);
    await this.#clients.readEverything(life);
    await life.service.kill();
    return this.#report(tables, owed);
  }

  async #round(before: Life & { service: Service }, round: number): Promise<Life & { service: Service }> {
    const startedMs = Date.now();
    const operations = this.#clients.operations.length;
    const { jobEvery, seed, say } = this.#options;
    if (round % ROUNDS_PER_TABLE === 1) await this.#tables.add(before.service);
    if (jobEvery > 0 && round % jobEvery === Math.min(2, jobEvery - 1))
      await this.#tables.startJob(before.service);
    const lives: number[] = [];
    let life = before;
    if (this.#random() < 0.5) {
      lives.push(
        await this.#liveAndDie(life, {
          seed: seed * 1_000 + round,
          longestMs: LONGEST_SHORT_LIFE_MS,
          least: 0,
        }),
      );
      life = await this.#start(["--no-build"]);
    }
    const least = MIN_OPERATIONS;
    lives.push(
      await this.#liveAndDie(life, { seed: seed * 1_000 + 500 + round, longestMs: LONGEST_LIFE_MS, least }),
    );
    life = await this.#start(["--no-build"]);
    // Before anything else has woken the writers: what caches and database hold is what the kill has left.
    await this.#clients.readEverything(life);
    await this.#clients.sendAgain(life);
    await this.#tables.sendAgain(life);
    const done = this.#clients.operations.length - operations;
    const killed = lives.map((ms) => `${(ms / 1_000).toFixed(2)} s`).join(" and ");
    say(
      `round ${round}: killed after ${killed}; ${done} operations, ${((Date.now() - startedMs) / 1_000).toFixed(1)} s`,
    );
    return life;
  }

  /** @returns how long it lived, from when the clients came. */
  async #liveAndDie(
    life: Life & { service: Service },
    { seed, longestMs, least }: { seed: number; longestMs: number; least: number },
  ): Promise<number> {
    const bornMs = Date.now();
    const before = this.#clients.operations.length;
    const working = this.#clients.run(life, { seed });
    const lifeMs = this.#random() * longestMs;
    await waitUntil(() => this.#clients.operations.length - before >= least, {
      timeoutMs: 30_000,
      what: () =>
        `hardly anything is done: ${this.#unexpected().slice(0, 3)}\n${life.service.output().slice(-4_000)}`,
    });
    await sleep(lifeMs);
    const dying = life.service.kill();
    life.isOver = true;
    const livedMs = Date.now() - bornMs;
    this.#kills += 1;
    await Promise.all([dying, working]);
    return livedMs;
  }

  async #start(args: string[]): Promise<Life & { service: Service }> {
    const databases = ["--databases", String(this.#options.databases)];
    const service = await startService({
      command: "serve",
      state: this.#state,
      args: [...databases, ...args],
    });
    this.#services.push(service);
    return { service, number: this.#services.length, isOver: false };
  }

  /** Waits until every committed write has been handed to the consumer and to KV, and every event to the receiver. */
  async #drain(service: Service): Promise<string[]> {
    const untilMs = Date.now() + REST_MS;
    const saved = new SavedState(this.#state);
    try {
      for (;;) {
        const left = saved.owedEventIds();
        const documents = saved.owedDocuments();
        const { pending, dead } = await this.receiver.owed(service);
        const isDone = left.length + documents.length === 0 && pending === 0;
        if (isDone && dead === 0) return [];
        if (isDone || Date.now() > untilMs) {
          return [
            `still owed: ${left.length} events, ${documents.length} documents, ${pending} deliveries; given up: ${dead} deliveries`,
          ];
        }
        await sleep(100);
      }
    } finally {
      saved.close();
    }
  }

  #readComputed(): ComputedRow[] {
    const saved = new SavedState(this.#state);
    const rows = saved.queryD1<ComputedRow>(
      "SELECT entity_type, entity_value, category, revision FROM entities WHERE category <> ''",
    );
    saved.close();
    return rows;
  }

  #report(tables: TableHistory[], owed: string[]): CrashReport {
    const { operations } = this.#clients;
    const outputs = this.#services.map((service) => service.output());
    const saved = new SavedState(this.#state);
    const seen = announcements(outputs, this.receiver.accepted, saved);
    const entities = entitiesIn(saved);
    saved.close();
    const history: History = { operations, ...seen, tables };
    const count = (is: (one: History["operations"][number]) => boolean) => operations.filter(is).length;
    const figures = {
      databases: entities.filter((own) => own.length > 0).length,
      kills: this.#kills,
      seconds: Math.round((Date.now() - this.#startedMs) / 1_000),
      operations: operations.length,
      applied: count(({ outcome }) => outcome.kind === "applied"),
      unchanged: count(({ outcome }) => outcome.kind === "unchanged" || outcome.kind === "refused"),
      reads: count(({ action }) => action.kind === "read"),
      strong: count(({ action }) => action.kind === "read" && action.consistency === "strong"),
      ...this.#clients.figures,
      ingests: this.#tables.ingests.length,
      jobs: this.#tables.jobs,
      events: new Set(seen.events.map(({ eventId }) => eventId)).size,
      handled: seen.events.length,
      deliveries: seen.deliveries.length,
      failedDeliveries: this.receiver.figures.failed,
    };
    return {
      history,
      findings: checkHistory(history),
      complaints: complaintsOf(outputs),
      unexpected: [...this.#unexpected(), ...owed, ...inSeveral(entities)],
      figures,
    };
  }

  #unexpected(): string[] {
    return [...this.#clients.unexpected, ...this.#tables.unexpected, ...this.receiver.unexpected];
  }
}

/** Of each database. */
function entitiesIn(saved: SavedState): string[][] {
  const own = ["bright_uid", "account_id"].map(
    (table) => `SELECT '${table}/' || ${table} AS entity FROM ${table}`,
  );
  const others = ["entities", "feature_history"].map(
    (table) => `SELECT entity_type || '/' || entity_value FROM ${table}`,
  );
  const rows = saved.queryEach<{ entity: string }>([...own, ...others].join(" UNION "));
  return rows.map((some) => some.map(({ entity }) => entity));
}

function inSeveral(entities: readonly string[][]): string[] {
  const places = Map.groupBy(entities.flat(), (entity) => entity);
  return [...places].flatMap(([entity, { length }]) =>
    length > 1 ? `${entity} is in ${length} databases` : [],
  );
}

function complaintsOf(outputs: readonly string[]): [string, number][] {
  const times = new Map<string, number>();
  for (const [, line = ""] of outputs
    .join("\n")
    .matchAll(/^\d\d:\d\d:\d\d\.\d{3} ((?:WARNING|ERROR) .*)$/gm)) {
    const alike = line.replaceAll(/\b[a-z_]+=(?=\S*\d)(?!cause)\S+ ?/g, "");
    times.set(alike, (times.get(alike) ?? 0) + 1);
  }
  return [...times].sort(([, a], [, b]) => b - a);
}
