/**
 * The admin who spreads the tenant over more databases while the clients work, one move after the other, and who looks
 * all the time how far it is. A move goes on in the next process where the last one died.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { randomOf } from "../../scripts/random.ts";
import { PHASES, type Phase } from "../../worker/tenants/moving/move.ts";
import { endWaitOfMove } from "../process/state-files.ts";
import { ask } from "../setup/service.ts";
import type { Life } from "./clients.ts";
import type { Sighting } from "./history.ts";
import { type PlannedKill, type PlannedMove, planMoves } from "./move-plan.ts";

const REQUEST = "/api/v1/admin/tenants/default/spread";
/** A phase of a small move lasts some hundredths of a second; one that waits lasts longer. */
const LOOK_MS = 5;
const LOOK_WHILE_WAITING_MS = 50;
/** Before it is begun, or gone on with. */
const LONGEST_WAIT_MS = 300;
/** Of a hundred requests: during so many another one comes, of somebody who is impatient. */
const IMPATIENT = 25;
const LONGEST_PATIENCE_MS = 400;

interface Spread {
  databases: number;
  move: { phase: Phase; cleaning_from: string | null } | null;
}

export class Moves {
  readonly sightings: Sighting[] = [];
  readonly unexpected: string[] = [];
  readonly figures = { begun: 0, finished: 0 };
  readonly killedIn: Partial<Record<Phase, number>> = {};
  readonly #random: () => number;
  readonly #planned: PlannedMove[];
  #current: (PlannedMove & { isBegun: boolean }) | null = null;
  #last: Spread;
  #bound: number;
  /** Requests under way: of two the first is overtaken. */
  #asking = 0;
  #overlaps = 0;

  constructor({ seed, databases, spreadTo }: { seed: number; databases: number; spreadTo: number }) {
    this.#random = randomOf(seed + 77);
    this.#planned = planMoves(this.#random, { databases, spreadTo });
    this.#last = { databases, move: null };
    this.#bound = databases;
  }

  /** Over how many databases the tenant is spread, when it was last seen. */
  get databases(): number {
    return this.#last.databases;
  }

  get bound(): number {
    return this.#bound;
  }

  /** A move is to be made, or is being made. */
  get isUnderWay(): boolean {
    return this.#current !== null;
  }

  get phase(): Phase | null {
    return this.#last.move?.phase ?? null;
  }

  /** Before a start: unless the last move is not over more databases are bound now. */
  bindMore(): void {
    if (this.#current) return;
    const next = this.#planned.shift();
    if (!next) return;
    this.#current = { ...next, isBegun: false };
    this.#bound = next.to;
  }

  /** Nothing more is begun. */
  planNoMore(): void {
    this.#planned.splice(0);
  }

  /** Where the service is to die now; null: nothing is planned. */
  nextKill(): PlannedKill | null {
    if (this.#current) return this.#current.kills.shift() ?? null;
    const [next] = this.#planned;
    return next ? { phase: null, isCalm: next.beginsCalm } : null;
  }

  /** Looks until the process is dead. */
  async watch(life: Life): Promise<void> {
    while (!life.isOver && this.#isAnyMove) {
      await this.look(life);
      const isQuick = this.#current !== null && this.phase !== "opening" && this.phase !== "cleaning";
      await sleep(isQuick ? LOOK_MS : LOOK_WHILE_WAITING_MS);
    }
  }

  get #isAnyMove(): boolean {
    return this.#current !== null || this.#planned.length > 0 || this.figures.begun > 0;
  }

  async look(life: Life): Promise<void> {
    const calledMs = performance.now();
    const spread = await this.#ask(life, "GET");
    if (!spread) return;
    const { databases, move } = spread;
    const phase = move?.phase ?? null;
    this.sightings.push({ calledMs, answeredMs: performance.now(), databases, phase });
    this.#note(spread);
  }

  /** Asks for the move again and again, until all of it that can be done now is done, or the process is dead. */
  async drive(life: Life, untilMs = Number.POSITIVE_INFINITY): Promise<void> {
    if (!this.#current) return;
    await sleep(this.#random() * LONGEST_WAIT_MS);
    while (!life.isOver && this.#current && !this.#isWaiting && Date.now() < untilMs) {
      const isImpatient = this.#random() * 100 < IMPATIENT;
      const inMs = this.#random() * LONGEST_PATIENCE_MS;
      const another = async () => {
        await sleep(inMs);
        await this.#goOn(life);
      };
      await Promise.all([this.#goOn(life), isImpatient && another()]);
    }
  }

  /** Until the move is as far as this, or has nothing to do for an hour. */
  async reach(phase: Phase, life: Life, untilMs: number): Promise<void> {
    const place = PHASES.indexOf(phase);
    while (!life.isOver && Date.now() < untilMs && this.#current) {
      if (this.#current.isBegun && PHASES.indexOf(this.phase ?? "clearing") >= place) return;
      await sleep(1);
    }
  }

  /** What the dead process has left. For what the move waits next, but for its opening, it waits no longer. */
  afterKill(state: string): Phase | null {
    const found = endWaitOfMove(state);
    const phase = PHASES.find((one) => one === found) ?? null;
    if (!phase || !this.#current) return null;
    this.killedIn[phase] = (this.killedIn[phase] ?? 0) + 1;
    this.#begun();
    this.#last = { ...this.#last, move: { phase, cleaning_from: null } };
    return phase;
  }

  get #isWaiting(): boolean {
    const from = this.#last.move?.cleaning_from ?? null;
    return from !== null && Date.parse(from) > Date.now();
  }

  async #goOn(life: Life): Promise<void> {
    if (!this.#current || life.isOver) return;
    const spread = await this.#ask(life, "POST", { databases: this.#current.to });
    if (spread) this.#note(spread);
  }

  #begun(): void {
    if (!this.#current || this.#current.isBegun) return;
    this.#current.isBegun = true;
    this.figures.begun += 1;
  }

  #note(spread: Spread): void {
    this.#last = spread;
    if (!this.#current) return;
    if (spread.move) this.#begun();
    else if (spread.databases === this.#current.to) {
      this.#begun();
      this.figures.finished += 1;
      this.#current = null;
    }
  }

  async #ask(life: Life, method: "GET" | "POST", body?: object): Promise<Spread | null> {
    const isMoving = method === "POST";
    if (isMoving && this.#asking > 0) this.#overlaps += 1;
    const overlaps = this.#overlaps;
    const isAlone = this.#asking === 0;
    this.#asking += isMoving ? 1 : 0;
    try {
      const { status, body: spread } = await ask<Spread>(life.service, `${method} ${REQUEST}`, { body });
      if (status === 200) return spread;
      const isOvertaken = status === 409 && isMoving && !(isAlone && overlaps === this.#overlaps);
      if (!isOvertaken) this.unexpected.push(`${method} ${REQUEST}: ${status} ${JSON.stringify(spread)}`);
    } catch (cause) {
      if (!life.isOver) await sleep(50);
      if (!life.isOver) this.unexpected.push(`${method} ${REQUEST}: ${cause}`);
    } finally {
      this.#asking -= isMoving ? 1 : 0;
    }
    return null;
  }
}
