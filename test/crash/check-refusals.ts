/**
 * Writes are refused while the tenant is on its way to more databases and takes none, and at no other time; and a move
 * goes on from where it was, whatever was killed.
 *
 * What is seen is old when it is told: between two looks it may have been as the first says, as the second says, or
 * anything that comes between them.
 */
import { PHASES } from "../../worker/tenants/moving/move.ts";
import { MOVE_PAUSE_MS } from "../../worker/timings.ts";
import type { Finding, History, Sighting } from "./history.ts";

interface Span {
  fromMs: number;
  untilMs: number;
}

export function checkRefusals({ refusals, sightings }: History): Finding[] {
  const openings = sightings.filter(isOpen);
  const spans = pairsOf(sightings).flatMap(([a, b]) => {
    const span = spanOf(a, b);
    if (!span) return [];
    // Whatever was put off before: all writers take writes when the new databases are open.
    const open = openings.find((one) => one.databases > a.databases && one.calledMs >= b.calledMs);
    return { ...span, untilMs: Math.min(span.untilMs, open?.answeredMs ?? span.untilMs) };
  });
  const isRight = ({ calledMs, answeredMs }: History["refusals"][number]) =>
    spans.some(({ fromMs, untilMs }) => calledMs <= untilMs && answeredMs >= fromMs);
  return refusals
    .filter((one) => !isRight(one))
    .map((one) => ({ rule: "refused", entity: one.asked, detail: JSON.stringify(one) }));
}

/** No database is taken away again, and no phase comes twice but for those of a pause that is put off. */
export function checkMoves({ sightings }: History): Finding[] {
  return pairsOf(sightings).flatMap(([a, b]): Finding[] => {
    if (
      b.databases > a.databases
        ? isOpen(b) || b.phase === "opening"
        : b.databases === a.databases && isNext(a, b)
    )
      return [];
    return [
      { rule: "move", entity: "the tenant", detail: `${JSON.stringify(a)}, then ${JSON.stringify(b)}` },
    ];
  });
}

/** Both of tenants in as many databases: a move is over only when there are more. */
function isNext({ phase: before }: Sighting, { phase: after }: Sighting): boolean {
  if (before === null) return true;
  if (before === "cleaning") return after !== "opening";
  // The last phase may be so short that nobody has seen it.
  if (after === null) return before === "opening";
  if (before === "paused" && after === "following") return true;
  return PHASES.indexOf(after) >= PHASES.indexOf(before);
}

const isOpen = ({ phase }: Sighting) => phase === "cleaning" || phase === null;

const takesNoWrite = ({ phase }: Sighting) => phase === "paused" || phase === "opening";

/** When writes may have been refused; null: between these two looks never. */
function spanOf(a: Sighting, b: Sighting): Span | null {
  if (!takesNoWrite(a) && !takesNoWrite(b) && a.databases === b.databases) return null;
  // Who put the pause off may have died before the writers were told: theirs ends by itself.
  const restMs = a.phase === "paused" && b.phase === "following" ? MOVE_PAUSE_MS : 0;
  return { fromMs: a.calledMs, untilMs: b.answeredMs + restMs };
}

function pairsOf(sightings: readonly Sighting[]): [Sighting, Sighting][] {
  return sightings.flatMap((one, i): [Sighting, Sighting][] => {
    const next = sightings[i + 1];
    return next ? [[one, next]] : [];
  });
}
