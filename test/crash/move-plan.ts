/** What is decided of moves before the run: over how many databases, and in which phases the service is to die. Pure. */
import type { Phase } from "../../worker/tenants/moving/move.ts";

export interface PlannedMove {
  /** Over how many databases. */
  to: number;
  /** Of the kill before which there are fewer databases. */
  beginsCalm: boolean;
  /** Where the service is killed, in this order; afterwards wherever it happens to be. */
  kills: PlannedKill[];
}

export interface PlannedKill {
  /** Null: wherever it happens to be. */
  phase: Phase | null;
  /**
   * Nobody is writing at that moment. A write that is cut off may yet be committed for a minute, as far as its writer can
   * know, and no entity moves before.
   */
  isCalm: boolean;
}

/** How often nobody is writing, of one kill. */
const CALM = 0.6;

/** Moves that make `to` databases of `from`, one after the other. */
export function planMoves(
  random: () => number,
  { databases, spreadTo }: { databases: number; spreadTo: number },
): PlannedMove[] {
  const plan: PlannedMove[] = [];
  for (let from = databases; from < spreadTo; ) {
    from += 1 + Math.floor(random() * Math.min(2, spreadTo - from));
    plan.push({ to: from, beginsCalm: random() < CALM, kills: planKills(random) });
  }
  return plan;
}

/** How often each is killed in, of a hundred moves. The opening always comes: kills that come at random would keep it away. */
const KILLS: readonly [phase: Phase, share: number][] = [
  ["clearing", 20],
  ["copying", 50],
  ["following", 30],
  ["paused", 50],
  ["opening", 100],
  ["cleaning", 50],
];

function planKills(random: () => number): PlannedKill[] {
  return KILLS.flatMap(([phase, share]) => {
    const [isPlanned, isCalm] = [random() * 100 < share, random() < CALM];
    return isPlanned ? [{ phase, isCalm }] : [];
  });
}
