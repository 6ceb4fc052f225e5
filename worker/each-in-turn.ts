/** One after the other; no failure ends the rest. @throws the first failure. */
export async function eachInTurn<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const failures: unknown[] = [];
  for (const item of items) await work(item).catch((cause: unknown) => failures.push(cause));
  if (failures.length > 0) throw failures[0];
}
