/**
 * The D1 databases that hold entities with their history. `DB`, which has everything else too, is the first; `DB_1`, `DB_2`
 * and so on may be bound beside it, with the same tables.
 */
import { databaseOf, type EntityRef } from "../keys.ts";
import { MAX_ENTITY_DATABASES } from "../limits.ts";

/** In their order, up to the first that is not bound. */
export function entityDatabases(env: Env): D1Database[] {
  const databases = [env.DB];
  for (let number = 1; number < MAX_ENTITY_DATABASES; number++) {
    const next = boundAt(env, number);
    if (!next) break;
    databases.push(next);
  }
  return databases;
}

/** Those of a tenant. @throws Error where one is not bound. */
export const databasesOf = (env: Env, spread: number) =>
  Array.from({ length: spread }, (_, number) => entityDatabase(env, number));

/** @param number From 0. @throws Error where it is not bound. */
export function entityDatabase(env: Env, number: number): D1Database {
  const database = boundAt(env, number);
  if (!database) throw new Error(`the database ${bindingOf(number)} is not bound`);
  return database;
}

export const isBound = (env: Env, number: number) => boundAt(env, number) !== undefined;

export const bindingOf = (number: number) => (number === 0 ? "DB" : `DB_${number}`);

/** wrangler.toml names those that there are; the types know the first alone. */
function boundAt(env: Env, number: number): D1Database | undefined {
  return (env as unknown as Record<string, D1Database | undefined>)[bindingOf(number)];
}

/**
 * Asks each database about those of the items whose entities are in it, all at once.
 *
 * @param ask Answers each of its items, in their order.
 * @returns the answers in the order of `items`.
 */
export async function askEach<T, R>(
  items: readonly T[],
  { databases, refOf }: { databases: number; refOf: (item: T) => EntityRef },
  ask: (database: number, items: readonly T[]) => Promise<readonly R[]>,
): Promise<R[]> {
  if (databases === 1) return [...(await ask(0, items))];
  const placed = items.map((item, position) => ({ item, position }));
  const parts = Map.groupBy(placed, ({ item }) => databaseOf(refOf(item), databases));
  const answers = await Promise.all(
    [...parts].map(async ([database, part]) => {
      const found = await ask(
        database,
        part.map(({ item }) => item),
      );
      return part.map(({ position }, i) => ({ position, answer: found[i] as R }));
    }),
  );
  return answers
    .flat()
    .sort((a, b) => a.position - b.position)
    .map(({ answer }) => answer);
}
