/** What only D1 can answer: one query to each database that has some of the entities, all at once. */
import { type EntityRows, selectEntities } from "../db/current-rows.ts";
import { askEach, entityDatabase } from "../db/entity-databases.ts";
import { unavailable } from "../errors.ts";
import { entitiesTooLarge } from "../http/answer-size.ts";
import { databaseOf } from "../keys.ts";
import { MAX_ENTITIES_BYTES } from "../limits.ts";
import { timed } from "../monitoring/timed.ts";
import { RETRY_AFTER_SECONDS } from "../timings.ts";
import { sessionStart } from "./consistency.ts";
import { documentOf } from "./document.ts";
import type { EntityRead, ReadContext, Wanted } from "./read-entities.ts";

/**
 * @returns in the order of `wanted`.
 * @throws Problem 422 when they are too large to be read together, 503 when D1 does not answer.
 */
export async function readFromD1(
  context: ReadContext,
  wanted: readonly Wanted[],
  databases: number,
): Promise<EntityRead[]> {
  const found = await (databases === 1
    ? readFrom(context, 0, wanted)
    : readFromSeveral(context, wanted, databases));
  if (!found) throw entitiesTooLarge();
  return found.map(({ revision, rows }) => ({
    document: documentOf(revision, rows),
    revision,
    source: "d1",
  }));
}

/**
 * All of them together never have more in memory than those of one database may. Mostly each has less than its share; what
 * has more is asked for once it is known what the others have left.
 *
 * @returns null when they have more.
 */
async function readFromSeveral(
  context: ReadContext,
  wanted: readonly Wanted[],
  databases: number,
): Promise<EntityRows[] | null> {
  const each = { databases, refOf: ({ ref }: Wanted) => ref };
  const share = wanted.length === 1 ? undefined : Math.floor(MAX_ENTITIES_BYTES / databases);
  const found = await askEach(wanted, each, async (database, some): Promise<(EntityRows | null)[]> => {
    return (await readFrom(context, database, some, share)) ?? some.map(() => null);
  });
  const larger = wanted.flatMap(({ ref }, position) => (found[position] ? [] : { ref, position }));
  for (const [database, part] of Map.groupBy(larger, ({ ref }) => databaseOf(ref, databases))) {
    const left = MAX_ENTITIES_BYTES - bytesOf(found);
    const some = part.flatMap(({ position }) => wanted[position] ?? []);
    const own = await readFrom(context, database, some, left);
    if (!own) return null;
    for (const [i, { position }] of part.entries()) found[position] = own[i] ?? null;
  }
  return found.filter((one) => one !== null);
}

/** As D1 counts them. */
function bytesOf(found: readonly (EntityRows | null)[]): number {
  const texts = found.flatMap((one) => one?.rows ?? []).flatMap(({ data, eventTimes }) => [data, eventTimes]);
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text ?? ""), 0);
}

/** @returns in the order of `wanted`; null when they have more than `mostBytes`. */
async function readFrom(
  { env, tenant, log, metrics }: ReadContext,
  database: number,
  wanted: readonly Wanted[],
  mostBytes?: number,
): Promise<EntityRows[] | null> {
  const refs = wanted.map(({ ref }) => ref);
  const read = async () => {
    const start = sessionStart(
      wanted.map(({ requirement }) => requirement),
      database,
    );
    return selectEntities(entityDatabase(env, database).withSession(start), tenant, refs, mostBytes);
  };
  const measured = { operation: "d1.get_item", items: refs.length } as const;
  return timed(metrics, measured, read).catch((cause) => {
    log.error("D1 did not answer a read", cause, { entities: wanted.length });
    throw unavailable("the database does not answer; try again", RETRY_AFTER_SECONDS);
  });
}
