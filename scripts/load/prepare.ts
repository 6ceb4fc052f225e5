/** The entities that the users ask for, written before the clock starts. */
import { setTimeout as sleep } from "node:timers/promises";
import { randomOf } from "../random.ts";
import { resultOf, type Target } from "./ask.ts";
import { entityBody, metadata } from "./mix.ts";

const ROWS_PER_REQUEST = 200;
/** A busy service answers 503. */
const ATTEMPTS = 5;
const PAUSE_MS = 1_000;

/** @returns null when all are there, else why not. */
export async function writeEntities(
  target: Target,
  { entities, seed }: { entities: number; seed: number },
): Promise<string | null> {
  // Other values than those of the run.
  const random = randomOf(seed + 1);
  for (let first = 0; first < entities; first += ROWS_PER_REQUEST) {
    const count = Math.min(ROWS_PER_REQUEST, entities - first);
    const data = Array.from({ length: count }, (_, i) => entityBody(random, first + i));
    const what = await write(target, { metadata, data });
    if (what !== null) return what;
  }
  return null;
}

async function write(target: Target, body: unknown): Promise<string | null> {
  for (let attempt = 1; ; attempt += 1) {
    const result = await resultOf(target, { method: "POST", path: "/api/v1/items/batch", body });
    if (result.kind === "answered") return refusalIn(result.text);
    const isBusy = /^(?:429|503)/.test(result.what);
    if (!isBusy || attempt === ATTEMPTS) return result.what;
    await sleep(PAUSE_MS);
  }
}

/** Of a row: the answer as a whole is 200 all the same. */
function refusalIn(text: string): string | null {
  const { results } = JSON.parse(text) as { results: { outcome: string; reason?: unknown }[] };
  const refused = results.find(({ outcome }) => outcome === "rejected");
  return refused ? `rejected ${JSON.stringify(refused.reason)}` : null;
}
