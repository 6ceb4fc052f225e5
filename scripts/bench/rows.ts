/** What a row of the table is made of. */
import type { Compared } from "./compare.ts";
import type { Setting } from "./setting.ts";
import type { Goal } from "./statistics.ts";

/** The same work at another load, for information. */
export interface Level {
  name: string;
  ours: Compared["ours"];
  /** Null: the service alone was measured. */
  control: Compared["control"] | null;
}

export interface RowResult {
  work: string;
  /** What the control does. */
  against: string;
  /** Features in one answer or one request; 0 where there are none. */
  features: number;
  compared: Compared | null;
  /** What the goal is about. */
  value: number;
  unit: "×" | "KiB" | "ms";
  /** Null: for information. */
  goal: Goal | null;
  levels: Level[];
  note: string;
}

/** A result to which other loads may be added when all rows have theirs, as long as there is time. */
export interface Measured extends RowResult {
  measureLevels?: () => Promise<Level[]>;
}

export interface Row {
  /** For `--only`. */
  name: string;
  run(setting: Setting): Promise<Measured[]>;
}

/** Of a comparison without a goal. */
export const ROUNDS_FOR_INFORMATION = 1;

export const atLeast = (value: number): Goal => ({ bound: "at least", value });
export const atMost = (value: number): Goal => ({ bound: "at most", value });
export const lessThan = (value: number): Goal => ({ bound: "less than", value });
