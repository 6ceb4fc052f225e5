/** Every entity has rows in one database alone, the one in which it is looked for. */
import { databaseOf, entityRef } from "../../worker/keys.ts";
import type { Finding, History } from "./history.ts";

export function checkPlaces({ places }: History): Finding[] {
  if (!places) return [];
  const found = places.found.filter((own) => own.length > 0);
  const numberOf = (entity: string) => databaseOf(entityRef(entity), places.databases);
  const numbers = found.map((own) => mostOf(own.map(numberOf)));
  const finding = (entity: string, detail: string): Finding => ({ rule: "place", entity, detail });
  return [
    ...found.flatMap((own, i) =>
      own
        .filter((entity) => numberOf(entity) !== numbers[i])
        .map((entity) => finding(entity, `of database ${numberOf(entity)} and in ${numbers[i]}`)),
    ),
    ...[...Map.groupBy(found.flat(), (entity) => entity)].flatMap(([entity, { length }]) =>
      length > 1 ? [finding(entity, `in ${length} databases`)] : [],
    ),
    ...(new Set(numbers).size < numbers.length
      ? [finding("all", `two databases are both most of one: ${numbers}`)]
      : []),
  ];
}

/** Which database it is: the one of most of its entities. */
function mostOf(numbers: readonly number[]): number {
  const [most] = [...Map.groupBy(numbers, (one) => one)].sort(([, a], [, b]) => b.length - a.length);
  return most?.[0] ?? 0;
}
