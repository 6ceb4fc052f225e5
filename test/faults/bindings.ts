/**
 * The fault layer: real bindings whose every call waits for its turn in a world, and may meet a fault there.
 *
 * Left out, because the platform does not do it or nobody could be right then: a put of KV that lands after its
 * caller was told of an error or has died (nothing orders it and the next put), and a D1 batch cut in two.
 */
import { InjectedFault } from "../setup/injected-fault.ts";
import { type CallFacts, type Fault, type FaultKind, faultOf, type Rates } from "./decide.ts";
import { type Actor, actor, type World } from "./world.ts";

export interface Call extends Omit<CallFacts, "mayDie"> {
  label: string;
  /** The real call goes on for long and with waits of its own: it is not waited for. */
  isLong?: boolean;
  /** Takes away whom it calls. */
  evict?: (reason: string) => void;
}

type Outcome = { value: unknown } | { error: unknown };

/** A request takes up to this long to arrive, and its answer to come back. */
const TRANSIT_MS = 20;
/** Of a clock that is set right. */
const LARGEST_STEP_MS = 5_000;

export class FaultLayer {
  readonly happened = new Map<FaultKind, number>();
  /** Calls that meet no fault whatever the seed says: how a failing schedule is made smaller. */
  readonly spared: ReadonlySet<number>;
  readonly faulted: number[] = [];
  calls = 0;
  readonly #world: World;
  readonly #schedule: { seed: number; rates: Rates };
  readonly #nobody: Actor;

  constructor(world: World, schedule: { seed: number; rates: Rates }, spared: ReadonlySet<number>) {
    this.#world = world;
    this.#schedule = schedule;
    this.spared = spared;
    this.#nobody = world.actor("network");
  }

  /** Makes a call in its time. @param answerOf What a fault's answer is, where it is not the real one. */
  call(
    call: Call,
    run: () => Promise<unknown>,
    answerOf?: (fault: Fault) => Promise<unknown>,
  ): Promise<unknown> {
    const world = this.#world;
    const who = actor();
    const fault = this.#decide(call, who);
    return new Promise((resolve, reject) => {
      const answer = (outcome: Outcome, ms = 0): void => {
        world.after(world.someMs(TRANSIT_MS) + ms, {
          label: `answer to ${call.label}`,
          actor: who,
          act: () => ("value" in outcome ? resolve(outcome.value) : reject(outcome.error)),
        });
      };
      const fail = () => answer({ error: errorOf(call) });
      const perform = async (): Promise<void> => {
        if (!fault) return settle(call, run, answer);
        switch (fault.kind) {
          case "fails before":
            return fail();
          case "fails after":
            return settle(call, run, fail);
          case "lands late":
            this.#land(call, run, fault.ms);
            return fail();
          case "slow answer":
            return settle(call, run, (outcome) => answer(outcome, fault.ms));
          case "stale answer":
          case "partial answer":
          case "bad answer":
            return settle(call, () => answerOf?.(fault) ?? run(), answer);
          case "lost":
            await answerOf?.(fault);
            return answer({ value: undefined });
          case "twice":
            await run();
            return settle(call, run, answer);
          case "dies before":
            return who.die?.(call.label);
          case "dies after":
            return settle(call, run, () => who.die?.(`${call.label} has run`));
          case "evicted before":
            call.evict?.(call.label);
            return fail();
          case "evicted meanwhile":
            world.after(fault.ms, {
              label: "eviction",
              actor: this.#nobody,
              act: () => call.evict?.(call.label),
            });
            return settle(call, run, answer);
          case "clock steps back":
            who.aheadMs -= Math.min(fault.ms, LARGEST_STEP_MS);
            return settle(call, run, answer);
          case "slow":
            return settle(call, run, answer);
        }
      };
      world.after(world.someMs(TRANSIT_MS) + (fault?.kind === "slow" ? fault.ms : 0), {
        label: call.label,
        actor: who,
        act: perform,
        onDeath: () => this.#survive(call, run),
      });
    });
  }

  #decide(call: Call, who: Actor): Fault | null {
    this.calls += 1;
    const number = this.calls;
    const { seed, rates } = this.#schedule;
    const facts = { ...call, mayDie: who.die !== null };
    const decided = this.#world.isHealthy ? null : faultOf(seed, number, facts, rates);
    const fault = this.spared.has(number) ? null : decided;
    if (fault) {
      this.faulted.push(number);
      this.happened.set(fault.kind, (this.happened.get(fault.kind) ?? 0) + 1);
    }
    const what = fault ? `  <- ${fault.kind} (${fault.ms} ms, call ${number})` : "";
    this.#world.note(`${who.name}: ${call.label}${what}`);
    return fault;
  }

  /** Its caller has died: a transaction or a message may be on its way, a put is so only for a moment. */
  #survive(call: Call, run: () => Promise<unknown>): void {
    const world = this.#world;
    const dice = world.chance();
    if (call.store === "object" || call.store === "receiver" || dice < 0.5) return;
    if (call.store === "cache") {
      const act = async () => void (await run().catch(() => {}));
      world.next({ label: `${call.label} lands`, actor: this.#nobody, act });
    } else if (call.operation !== "read") this.#land(call, run, dice < 0.85 ? 100 : 20_000);
  }

  #land(call: Call, run: () => Promise<unknown>, ms: number): void {
    this.#world.after(ms, {
      label: `${call.label} lands late`,
      actor: this.#nobody,
      act: async () => {
        this.#world.note(`${call.label} lands late`);
        const landed = run().catch(() => {});
        if (!call.isLong) await landed;
      },
    });
  }
}

/** As the store itself would say it. */
function errorOf({ store, label }: Call): InjectedFault {
  const fault = new InjectedFault(
    store === "database" ? `D1_ERROR: ${label}: injected` : `${label}: injected`,
  );
  return store === "object" ? Object.assign(fault, { retryable: true }) : fault;
}

async function settle(
  call: Call,
  run: () => Promise<unknown>,
  answer: (outcome: Outcome) => void,
): Promise<void> {
  const outcome = run().then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if (call.isLong) void outcome.then(answer);
  else answer(await outcome);
}
