/** A move to more databases as the admin and the clients see it, with the writes that it refuses; and where all is in the end. */
import { databaseOf, entityRef } from "../../worker/keys.ts";
import type { Phase } from "../../worker/tenants/moving/move.ts";
import { pick } from "../setup/random.ts";
import type { Places, Refusal, Sighting } from "./history.ts";

const DATABASES = 3;
const PAST_PHASES: readonly (Phase | null)[] = [null, "clearing", "copying", "following"];
const LONGEST_PHASE_MS = 2_000;

interface RandomMove {
  refusals: Refusal[];
  sightings: Sighting[];
  places: Places;
}

export function randomMove(random: () => number, entities: readonly string[]): RandomMove {
  // A pause may be put off.
  const again = random() < 0.3 ? (["paused", "following"] as const) : [];
  const phases = [...PAST_PHASES, ...again, "paused", "opening", "cleaning", null] as const;
  const move: Omit<RandomMove, "places"> = { refusals: [], sightings: [] };
  let nowMs = 0;
  for (const [i, phase] of phases.entries()) {
    const untilMs = nowMs + random() * LONGEST_PHASE_MS;
    const hasMoved = i >= phases.length - 3;
    // Some phases are so short that nobody sees them.
    while (nowMs < untilMs && (random() < 0.9 || phase === null)) {
      const lookMs = random() * 100;
      const databases = hasMoved ? DATABASES : 1;
      move.sightings.push({ calledMs: nowMs, answeredMs: nowMs + lookMs, databases, phase });
      nowMs += lookMs + 20;
      const asked = `POST /api/v1/items ${move.refusals.length}`;
      if (phase === "paused" || phase === "opening")
        move.refusals.push({ asked, calledMs: nowMs - 10, answeredMs: nowMs - 5 });
    }
  }
  return { ...move, places: randomPlaces(random, entities) };
}

function randomPlaces(random: () => number, entities: readonly string[]): Places {
  const all = [...entities, ...Array.from({ length: 30 }, (_, i) => `account_id/quiet-${i}`)];
  const own = Map.groupBy(all, (entity) => databaseOf(entityRef(entity), DATABASES));
  // Files tell not of which database they are.
  const found = [...own.values()].sort(() => random() - 0.5);
  return { databases: DATABASES, found: [...found, ...pick(random, [[], [[]]])] };
}
