/** Checked parts of requests by their text: a repeated request costs a look-up, not parsing and checking. */
import { BoundedMap } from "../bounded-map.ts";
import { KNOWN_INPUT_MAX_CHARACTERS, KNOWN_INPUTS_MAX_CHARACTERS } from "../limits.ts";

export class KnownInputs {
  readonly #inputs = new BoundedMap<{ value: unknown }>(KNOWN_INPUTS_MAX_CHARACTERS);

  /** @param read Parses and checks the text; what it throws is thrown on, and nothing is kept. */
  get<T>(text: string, read: () => T): T {
    const known = this.#inputs.get(text);
    if (known) return known.value as T;
    const value = read();
    if (text.length <= KNOWN_INPUT_MAX_CHARACTERS) this.#inputs.set(text, { value }, text.length);
    return value;
  }
}
