/** Faults of a move to more databases, planted as in `planted.ts`. */
import { databaseOf, entityRef } from "../../worker/keys.ts";
import { pick } from "../setup/random.ts";
import type { Places, Sighting } from "./history.ts";
import type { Planted } from "./planted.ts";
import type { RandomHistory } from "./random-history.ts";

/** Changes what one look has seen. */
function plantedSighting(
  fault: string,
  isThere: (one: Sighting) => boolean,
  change: (one: Sighting) => Partial<Sighting>,
): Planted {
  return {
    fault,
    rules: ["move"],
    plant: (history, random) => {
      // Those before and after it tell that it cannot have been so.
      const { sightings } = history;
      const there = sightings.filter((_, i) => sightings.slice(Math.max(0, i - 1), i + 2).every(isThere));
      const one = there.length > 0 ? pick(random, there) : undefined;
      if (one) Object.assign(one, change(one));
      return one !== undefined;
    },
  };
}

function plantedRefusal(fault: string, isThere: (a: Sighting, b: Sighting) => boolean): Planted {
  return {
    fault,
    rules: ["refused"],
    plant: (history, random) => {
      const { sightings } = history;
      const between = sightings.filter((one, i) => {
        const next = sightings[i + 1];
        return next !== undefined && isThere(one, next) && next.calledMs - one.answeredMs > 3;
      });
      if (between.length === 0) return false;
      const { answeredMs } = pick(random, between);
      const times = { calledMs: answeredMs + 1, answeredMs: answeredMs + 2 };
      history.refusals.push({ asked: "POST /api/v1/items", ...times });
      return true;
    },
  };
}

function plantedPlace(
  fault: string,
  change: (places: Places, random: () => number) => string[][] | null,
): Planted {
  return {
    fault,
    rules: ["place"],
    plant: (history: RandomHistory, random) => {
      const { places } = history;
      const found = places && change(places, random);
      if (!found) return false;
      history.places = { ...places, found };
      return true;
    },
  };
}

const isOfEarly = ({ phase }: Sighting) => phase === "copying" || phase === "clearing";
const isDone = ({ phase, databases }: Sighting) => phase === null && databases > 1;

/** With some entities of a database in another one, and as they were or gone where they belong. */
function withMoved({ found }: Places, random: () => number, isLeft: boolean): string[][] | null {
  const full = found.filter((own) => own.length > 0);
  const [from, to] = [pick(random, full), pick(random, full)];
  if (from === to) return null;
  const moved = pick(random, from);
  return full.map((own) => {
    if (own === to) return [...own, moved];
    return own === from && !isLeft ? own.filter((one) => one !== moved) : [...own];
  });
}

export const PLANTED_MOVES: readonly Planted[] = [
  plantedSighting("a tenant is in fewer databases than before", isDone, () => ({ databases: 1 })),
  plantedSighting(
    "a move that was open begins anew",
    ({ phase }) => phase === "opening",
    () => ({ phase: "copying" }),
  ),
  plantedSighting("a move is gone before it was made", isOfEarly, () => ({ phase: null, databases: 1 })),
  plantedRefusal(
    "a write is refused before there is a move",
    (a, b) => !a.phase && !b.phase && a.databases === 1,
  ),
  plantedRefusal("a write is refused while rows are copied", (a, b) => isOfEarly(a) && isOfEarly(b)),
  plantedRefusal(
    "a write is refused when all is open",
    (a, b) => a.phase === "cleaning" && b.phase === "cleaning",
  ),
  plantedPlace("an entity is where it was before the move", (places, random) =>
    withMoved(places, random, false),
  ),
  plantedPlace("an entity is in two databases", (places, random) => withMoved(places, random, true)),
  plantedPlace("a whole database is cut in two", ({ found, databases }, random) => {
    const own = pick(
      random,
      found.filter(({ length }) => length > 3),
    );
    const number = databaseOf(entityRef(own[0] ?? ""), databases);
    const others = found.filter((each) => each !== own).map((each) => [...each]);
    return number < databases ? [own.slice(0, 2), own.slice(2), ...others] : null;
  }),
];
