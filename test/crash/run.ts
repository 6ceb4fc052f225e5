/**
 * The crash run: clients work on the real service, `kill -9` takes it away at a random moment, it is started again on
 * what it left, and in the end the checker is shown all that was seen.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { randomOf } from "../../scripts/random.ts";
import { databaseOf } from "../../worker/keys.ts";
import type { Phase } from "../../worker/tenants/moving/move.ts";
import { SavedState } from "../process/state-files.ts";
import { newDirectory, type Service, startService, waitUntil } from "../setup/service.ts";
import { checkHistory } from "./check.ts";
import { Clients, type Life } from "./clients.ts";
import { complaintsOf } from "./complaints.ts";
import { drain } from "./drain.ts";
import type { Finding, History, TableHistory } from "./history.ts";
import type { PlannedKill } from "./move-plan.ts";
import { Moves } from "./moves.ts";
import { Receiver } from "./receiver.ts";
import { announcements } from "./seen-events.ts";
import { computedIn, entitiesIn } from "./stored.ts";
import { Tables } from "./tables.ts";

export interface CrashOptions {
  rounds: number;
  seed: number;
  clients?: number;
  /** Over how many the entities are spread at first. */
  databases?: number;
  /** Over how many they come to be spread meanwhile. */
  spreadTo?: number;
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
  /** In which phases of a move the service was killed, and how often. */
  killedIn: Partial<Record<Phase, number>>;
}

type Process = Life & { service: Service };

const ENTITIES = 24;
const QUIET_ENTITIES = 120;
/** Before a kill, so that there is something to lose on a busy machine too. */
const MIN_OPERATIONS = 150;
const LONGEST_LIFE_MS = 1_800;
/** A second kill falls into what the new process does first: to pay what the dead one owed. */
const LONGEST_SHORT_LIFE_MS = 400;
const ROUNDS_PER_TABLE = 4;
/** A minute after a kill a move can come to its end; when its writers then cannot pause, half a minute later. */
const LONGEST_MOVE_MS = 240_000;
/** Until the phase of a move has come in which the service is to die, and after that: most are short. */
const AIMS: Record<Phase, { withinMs: number; longestMs: number }> = {
  clearing: { withinMs: 8_000, longestMs: 30 },
  copying: { withinMs: 8_000, longestMs: 400 },
  following: { withinMs: 8_000, longestMs: 30 },
  paused: { withinMs: LONGEST_MOVE_MS, longestMs: 4_000 },
  opening: { withinMs: LONGEST_MOVE_MS, longestMs: 4_000 },
  cleaning: { withinMs: LONGEST_MOVE_MS, longestMs: 400 },
};
/** What the last writes have set going, such as computations on ingest, is written by then. */
const SETTLED_MS = 6_000;
const STEPS_WHILE_CLEANING = 12;
/** On a machine that is far too busy. */
const MOST_TRIES = 4;

const NO_ROWS = { rowCount: 0, rows: {}, vectors: {}, jobs: [] };

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
  readonly #moves: Moves;
  readonly #startedMs = Date.now();
  #kills = 0;

  constructor({
    rounds,
    seed,
    clients = 32,
    databases = 1,
    spreadTo = databases,
    jobEvery = 5,
    say = () => {},
  }: CrashOptions) {
    this.#options = { rounds, seed, clients, databases, spreadTo, jobEvery, say };
    this.#moves = new Moves({ seed, databases, spreadTo });
    this.#random = randomOf(seed);
    this.receiver = new Receiver(seed);
    this.#clients = new Clients({
      clients,
      entities: ENTITIES,
      quiet: QUIET_ENTITIES,
      errand: (random, life) => this.#tables.ingestOrCompute(random, life),
    });
  }

  async run(): Promise<CrashReport> {
    let life = await this.#start();
    await this.receiver.subscribe(life.service);
    await this.#clients.fill(life);
    for (let round = 1; round <= this.#options.rounds; round++) life = await this.#round(life, round);
    life = await this.#endMove(life);
    const tables = await this.#tables.rest(life.service);
    const owed = await drain(life.service, this.#state, this.receiver);
    await this.#kill(life);
    life = await this.#start();
    await this.#clients.readAtRest(life);
    await this.#clients.readEverything(life);
    await this.#kill(life);
    return this.#report(tables, owed);
  }

  async #round(before: Process, round: number): Promise<Process> {
    const startedMs = Date.now();
    const operations = this.#clients.operations.length;
    const { jobEvery, seed, say } = this.#options;
    if (round % ROUNDS_PER_TABLE === 1) await this.#tables.add(before.service);
    if (jobEvery > 0 && round % jobEvery === Math.min(2, jobEvery - 1))
      await this.#tables.startJob(before.service);
    const lives: string[] = [];
    let life = before;
    if (this.#random() < 0.5) {
      const longestMs = LONGEST_SHORT_LIFE_MS;
      lives.push(await this.#liveAndDie(life, { seed: seed * 1_000 + round, longestMs, least: 0 }));
      life = await this.#start();
    }
    const long = { longestMs: LONGEST_LIFE_MS, least: MIN_OPERATIONS };
    const { databases } = this.#moves;
    lives.push(await this.#liveAndDie(life, { seed: seed * 1_000 + 500 + round, ...long }));
    life = await this.#lookAfter(databases);
    const done = this.#clients.operations.length - operations;
    const seconds = ((Date.now() - startedMs) / 1_000).toFixed(1);
    say(`round ${round}: killed after ${lives.join(" and ")}; ${done} operations, ${seconds} s`);
    return life;
  }

  /** Starts it. Before anything else has woken the writers: what caches and database hold is what the kill has left. */
  async #lookAfter(databasesBefore: number): Promise<Process> {
    const life = await this.#start();
    await this.#clients.readEverything(life);
    await this.#moves.look(life);
    const { databases } = this.#moves;
    // A new writer knows nothing of what its entities' old one was asked.
    await this.#clients.sendAgain(life, ({ type, value }) => {
      const ref = { entityType: type, entityValue: value };
      return databaseOf(ref, databasesBefore) === databaseOf(ref, databases);
    });
    await this.#tables.sendAgain(life);
    return life;
  }

  /** The move that is under way is made to its end, with one more kill where it has to wait for an hour. */
  async #endMove(before: Process): Promise<Process> {
    let life = before;
    const { seed } = this.#options;
    this.#moves.planNoMore();
    for (let tries = 0; this.#moves.isUnderWay && tries < MOST_TRIES; tries++) {
      const end = seed * 1_000 + 990 + tries;
      if (this.#moves.phase === "cleaning") {
        const working = this.#clients.run(life, { seed: end, steps: STEPS_WHILE_CLEANING });
        await Promise.all([working, this.#moves.drive(life, Date.now() + LONGEST_MOVE_MS)]);
      } else {
        const { databases } = this.#moves;
        const once = { seed: end, longestMs: LONGEST_SHORT_LIFE_MS, least: 0 };
        const aim = { phase: "cleaning", isCalm: false } as const;
        const lived = await this.#liveAndDie(life, { ...once, aim });
        this.#options.say(`the move was waited for: killed after ${lived}`);
        life = await this.#lookAfter(databases);
      }
    }
    if (this.#moves.isUnderWay)
      this.#moves.unexpected.push(`a move came no further than ${this.#moves.phase}`);
    return life;
  }

  /** @returns how long it lived, from when the clients came, and where a move was. */
  async #liveAndDie(
    life: Process,
    {
      seed,
      longestMs,
      least,
      aim = this.#moves.nextKill(),
    }: { seed: number; longestMs: number; least: number; aim?: PlannedKill | null },
  ): Promise<string> {
    const bornMs = Date.now();
    const before = this.#clients.operations.length;
    life.isWithoutErrands = aim?.isCalm === true;
    const working = [this.#clients.run(life, { seed }), this.#moves.drive(life)];
    const phase = aim?.phase ?? null;
    const share = this.#random();
    await waitUntil(() => phase !== null || this.#clients.operations.length - before >= least, {
      timeoutMs: 30_000,
      what: () =>
        `hardly anything is done: ${this.#unexpected().slice(0, 3)}\n${life.service.output().slice(-4_000)}`,
    });
    if (phase) await this.#moves.reach(phase, life, bornMs + AIMS[phase].withinMs);
    await sleep(share * (phase ? AIMS[phase].longestMs : longestMs));
    if (aim?.isCalm) await this.#calm(life);
    const dying = this.#kill(life);
    const livedMs = Date.now() - bornMs;
    this.#kills += 1;
    const [found] = await Promise.all([dying, ...working]);
    return `${(livedMs / 1_000).toFixed(2)} s${found ? ` (${found})` : ""}`;
  }

  /** The clients go on reading. */
  async #calm(life: Process): Promise<void> {
    life.isCalm = true;
    while (this.#clients.isWriting) await sleep(1);
    await sleep(SETTLED_MS);
  }

  /** @returns in which phase of a move. */
  async #kill(life: Process): Promise<Phase | null> {
    const dying = life.service.kill();
    life.isOver = true;
    await dying;
    return this.#moves.afterKill(this.#state);
  }

  async #start(): Promise<Process> {
    const { bound } = this.#moves;
    if (this.#services.length > 0) this.#moves.bindMore();
    const isReady = this.#services.length > 0 && this.#moves.bound === bound;
    const databases = ["--databases", String(this.#moves.bound)];
    const service = await startService({
      command: "serve",
      state: this.#state,
      args: isReady ? [...databases, "--no-build"] : databases,
    });
    this.#services.push(service);
    const life = { service, number: this.#services.length, isOver: false };
    void this.#moves.watch(life);
    return life;
  }

  #report(tables: TableHistory[], owed: string[]): CrashReport {
    const { operations } = this.#clients;
    const outputs = this.#services.map((service) => service.output());
    const saved = new SavedState(this.#state);
    const seen = announcements(outputs, this.receiver.accepted, saved);
    const entities = entitiesIn(saved);
    const computed = computedIn(saved);
    saved.close();
    const history: History = {
      operations,
      ...seen,
      tables: [...tables, { table: "all", ingests: [], end: { ...NO_ROWS, computed } }],
      refusals: [...this.#clients.refusals, ...this.#tables.refusals],
      sightings: this.#moves.sightings,
      places: { databases: this.#moves.databases, found: entities },
    };
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
      refusals: history.refusals.length,
      ...this.#moves.figures,
    };
    return {
      history,
      findings: checkHistory(history),
      complaints: complaintsOf(outputs),
      unexpected: [...this.#unexpected(), ...owed],
      figures,
      killedIn: this.#moves.killedIn,
    };
  }

  #unexpected(): string[] {
    const seen = [this.#clients, this.#tables, this.receiver, this.#moves];
    return seen.flatMap(({ unexpected }) => unexpected);
  }
}
