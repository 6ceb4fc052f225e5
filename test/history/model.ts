/**
 * What the store must answer, from the contract alone: writes are kept as they came, and played back for every question.
 * Nothing of the service's own code, no index, no current row.
 */

/** Whole microseconds since 1970. */
export type Time = number;

export const ANY_AGE = Number.POSITIVE_INFINITY;

export interface Place {
  type: string;
  entity: string;
  category: string;
}

export interface ModelWrite extends Place {
  mode: "replace" | "merge";
  /** JSON texts by name, as they must come back. */
  data: ReadonlyMap<string, string>;
  at: Time;
  /** {@link ANY_AGE}: none. */
  ttl: Time;
  /** The number of its request: what is known after one request is what came up to it. */
  request: number;
}

interface Value {
  json: string;
  at: Time;
  endsAt: Time;
}

/** What a name asked for means. */
export interface Column {
  category: string;
  /** `*`: the whole category as one value, which a vector is. */
  stored: string;
  ttl: Time;
  /** JSON text where nothing is found. */
  missing: string;
}

export interface Answered {
  json: string;
  at: Time | null;
  status: "PRESENT" | "NULL_VALUE" | "NOT_FOUND" | "OUTSIDE_MAX_AGE";
}

export class Model {
  #writes: ModelWrite[] = [];
  /** Of a category, or of all that an entity had: older writes have no effect. */
  readonly #deleted: (Omit<Place, "category"> & { category: string | null; until: Time })[] = [];

  write(write: ModelWrite): void {
    const isTooLate = this.#deleted.some(({ until, ...place }) => write.at < until && isIn(place)(write));
    if (!isTooLate) this.#writes.push(write);
  }

  /** @returns whether there was anything. */
  remove(place: Omit<Place, "category"> & { category: string | null }, now: Time): boolean {
    const gone = this.#writes.filter(isIn(place));
    this.#writes = this.#writes.filter((write) => !gone.includes(write));
    for (const [category, own] of Map.groupBy(gone, (write) => write.category)) {
      // What was dated ahead does not come back by being sent again.
      const until = Math.max(now, ...own.map(({ at }) => at + 1));
      this.#deleted.push({ ...place, category, until });
    }
    if (gone.length > 0) this.#deleted.push({ ...place, until: now });
    return gone.length > 0;
  }

  /** The values of a category at a time; null: there is none then. @param request Of what came up to it. */
  valuesAt(place: Place, time: Time, request = Number.POSITIVE_INFINITY): Map<string, Value> | null {
    const known = this.#writes.filter(
      (write) => isIn(place)(write) && write.at <= time && write.request <= request,
    );
    let values: Map<string, Value> | null = null;
    // A sort keeps the order of arrival where times are equal.
    for (const { mode, data, at, ttl } of known.sort((a, b) => a.at - b.at)) {
      if (mode === "replace" || !values) values = new Map();
      for (const [name, json] of data) values.set(name, { json, at, endsAt: at + ttl });
    }
    return values;
  }
}

const isIn = (place: Omit<Place, "category"> & { category: string | null }) => (write: Place) =>
  write.type === place.type &&
  write.entity === place.entity &&
  (place.category === null || write.category === place.category);

/** What of a category may be read at `now`. @param ttlOf The registered one of each name. */
export function liveValues(
  values: ReadonlyMap<string, Value>,
  ttlOf: (name: string) => Time,
  now: Time,
): Map<string, string> {
  const live = [...values].filter(([name, { at, endsAt }]) => now <= Math.min(endsAt, at + ttlOf(name)));
  return new Map(live.map(([name, { json }]) => [name, json]));
}

export function answerOf(
  { stored, ttl, missing }: Column,
  values: ReadonlyMap<string, Value> | null,
  now: Time,
): Answered {
  const asked = [...(values ?? [])].filter(([name]) => stored === "*" || name === stored);
  if (asked.length === 0) return { json: missing, at: null, status: "NOT_FOUND" };
  // A vector is as new as the newest of it.
  const at = Math.max(...asked.map(([, value]) => value.at));
  const live = liveValues(new Map(asked), () => ttl, now);
  if (live.size === 0) return { json: "null", at, status: "OUTSIDE_MAX_AGE" };
  const json = stored === "*" ? objectText(live) : (live.get(stored) ?? "");
  return { json, at, status: json === "null" ? "NULL_VALUE" : "PRESENT" };
}

export function objectText(values: ReadonlyMap<string, string>): string {
  return `{${[...values].map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(",")}}`;
}
