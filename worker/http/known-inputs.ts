/** Parts of requests that were taken apart and found right, by their text: the same asked again costs a look-up. */
import { BoundedMap } from "../bounded-map.ts";
import { KNOWN_INPUT_MAX_CHARACTERS, KNOWN_INPUTS_MAX_CHARACTERS } from "../limits.ts";

export class KnownInputs {
  readonly #inputs = new BoundedMap<{ value: unknown }>(KNOWN_INPUTS_MAX_CHARACTERS);

  /** @param read Takes the text apart; what it throws is thrown, and nothing is kept. */
  get<T>(text: string, read: () => T): T {
    const known = this.#inputs.get(text);
    if (known) return known.value as T;
    const value = read();
    if (text.length <= KNOWN_INPUT_MAX_CHARACTERS) this.#inputs.set(text, { value }, text.length);
    return value;
  }
}
