/** Many values as few parameters of a statement, which takes them apart by `json_each`. Pure. */
import { MAX_D1_PARAMETER_CHARACTERS } from "../limits.ts";
import { partsUpTo } from "../parts.ts";

/** JSON arrays of the values in their order, each as full as a parameter may be; one that is larger goes alone. */
export function jsonParts(values: readonly unknown[]): string[] {
  const texts = values.values().map((value) => JSON.stringify(value));
  // Each text has a comma or a bracket, but for the first bracket.
  const parts = partsUpTo(texts, (text) => text.length + 1, MAX_D1_PARAMETER_CHARACTERS + 1);
  return Array.from(parts, ({ items }) => `[${items.join(",")}]`);
}
