/**
 * What exists in the service, by the name under which requests speak of it: so that generated requests reach further
 * than "there is no such thing".
 */

export type Known = ReadonlyMap<string, readonly unknown[]>;

/** Values of one name that are kept; enough for variety, few enough that two requests meet at the same thing. */
const MAX_VALUES = 12;

/** Parameters whose values stand under other names in bodies and answers. */
const OTHER_NAMES: Record<string, string[]> = {
  feature: ["name", "feature_id"],
  feature_name: ["name"],
  entity_id: ["entity_value"],
  entity_ids: ["entity_value", "entity_id"],
  feature_names: ["name"],
  entity_type: ["entity_key"],
  raw_table_id: ["table_id"],
};

export class Harvest {
  readonly #values = new Map<string, unknown[]>();

  /** Takes every text and number of a JSON value, under the name of the property that it stands in. */
  take(value: unknown, name = ""): void {
    if (Array.isArray(value)) for (const part of value) this.take(part, name);
    else if (typeof value === "object" && value !== null) {
      for (const [inner, part] of Object.entries(value)) this.take(part, inner);
    } else if (typeof value === "string" || typeof value === "number") this.#keep(name, value);
  }

  /**
   * What an answer of a path names is what the path's parameter stands for: the `id` in an answer of `/raw-tables` is
   * the `table_id` of `/raw-tables/{table_id}`.
   */
  takeIds(parameter: string, answer: unknown): void {
    if (Array.isArray(answer)) for (const part of answer) this.takeIds(parameter, part);
    else if (typeof answer === "object" && answer !== null) {
      for (const [name, part] of Object.entries(answer)) {
        if (name === "id" && typeof part !== "object") this.#keep(parameter, part);
        else this.takeIds(parameter, part);
      }
    }
  }

  known(): Known {
    const all = new Map<string, unknown[]>(this.#values);
    for (const [name, others] of Object.entries(OTHER_NAMES)) {
      all.set(
        name,
        [name, ...others].flatMap((each) => this.#values.get(each) ?? []),
      );
    }
    return all;
  }

  #keep(name: string, value: unknown): void {
    const values = this.#values.get(name) ?? [];
    this.#values.set(name, values);
    if (values.length < MAX_VALUES && !values.includes(value)) values.push(value);
  }
}
