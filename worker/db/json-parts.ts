/** Many values as few parameters of a statement, which takes them apart by `json_each`. Pure. */
import { MAX_D1_PARAMETER_CHARACTERS } from "../limits.ts";

/** JSON arrays of the values in their order, each as full as a parameter may be; one that is larger goes alone. */
export function jsonParts(values: readonly unknown[]): string[] {
  const parts: string[] = [];
  let texts: string[] = [];
  let characters = 0;
  for (const value of values) {
    const text = JSON.stringify(value);
    if (texts.length > 0 && characters + text.length > MAX_D1_PARAMETER_CHARACTERS) {
      parts.push(`[${texts.join(",")}]`);
      texts = [];
      characters = 0;
    }
    texts.push(text);
    characters += text.length + 1;
  }
  if (texts.length > 0) parts.push(`[${texts.join(",")}]`);
  return parts;
}
