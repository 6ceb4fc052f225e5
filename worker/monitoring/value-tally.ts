/**
 * What a request answered, value by value: how many of each status, and how old those present are. One `category:*`
 * of the item routes, which pass a category on unparsed, counts as one value.
 */
import { keepHiddenClass } from "../hidden-classes.ts";
import { MICROS_PER_MS, type Micros } from "../timestamps.ts";
import { bucketOf } from "./metric-counts.ts";

export const VALUE_STATUSES = ["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"] as const;
export type ValueStatus = (typeof VALUE_STATUSES)[number];

const FRESHNESS = "feature_store_feature_freshness_seconds";

export class ValueTally implements Record<ValueStatus, number> {
  PRESENT = 0;
  NULL_VALUE = 0;
  NOT_FOUND = 0;
  OUTSIDE_MAX_AGE = 0;
  /** Sum of the ages of the values present. */
  agesMs = 0;
  // Most values of a category share their event time: neighbours of one age are counted as one run, so that a read of
  // one category needs no array.
  #age = Number.NaN;
  #ageMs = 0;
  #bucket = 0;
  #run = 0;
  #runs: [bucket: number, count: number][] | null = null;

  constructor() {
    keepHiddenClass(this);
  }

  get total(): number {
    return this.PRESENT + this.NULL_VALUE + this.NOT_FOUND + this.OUTSIDE_MAX_AGE;
  }

  /**
   * @param age Time since its event time; 0 for a value that is dated in the future.
   * @param count How many values have this age.
   */
  present(age: Micros, count = 1): void {
    if (age !== this.#age) this.#startRun(age);
    this.PRESENT += count;
    this.agesMs += this.#ageMs * count;
    this.#run += count;
  }

  /** Adds the values present to the buckets of their age. */
  addAges(buckets: number[]): void {
    for (const [bucket, count] of this.#runs ?? []) buckets[bucket] = (buckets[bucket] ?? 0) + count;
    buckets[this.#bucket] = (buckets[this.#bucket] ?? 0) + this.#run;
  }

  #startRun(age: Micros): void {
    if (this.#run > 0) {
      this.#runs ??= [];
      this.#runs.push([this.#bucket, this.#run]);
    }
    this.#age = age;
    this.#ageMs = Math.max(0, Math.round(age / MICROS_PER_MS));
    this.#bucket = bucketOf(FRESHNESS, this.#ageMs);
    this.#run = 0;
  }
}
