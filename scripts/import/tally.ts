/** What became of the rows of an import, counted. Pure. */
import type { Outcomes } from "../items-batch.ts";

/** A row that was not taken, as `--rejects` writes it. */
export interface Reject {
  file: string;
  /** Line of a text file, row of a Parquet file; from 1. */
  place: number;
  reason: string;
  /** What stands there. */
  row: unknown;
}

interface Reason {
  count: number;
  first: Pick<Reject, "file" | "place">;
}

/** Reasons that are told apart; further ones count together. */
const MAX_REASONS = 100;
const OTHER_REASONS = "other reasons";

export class Tally {
  readonly outcomes: Outcomes = { applied: 0, stale: 0, duplicate: 0 };
  /** Rows without any value. */
  empty = 0;
  rejected = 0;
  readonly reasons = new Map<string, Reason>();

  get written(): number {
    const { applied, stale, duplicate } = this.outcomes;
    return applied + stale + duplicate;
  }

  get read(): number {
    return this.written + this.empty + this.rejected;
  }

  reject({ file, place, reason }: Reject): void {
    this.rejected += 1;
    const known = this.reasons.get(reason) ?? this.reasons.get(OTHER_REASONS);
    const isNew = !this.reasons.has(reason);
    if (isNew && this.reasons.size < MAX_REASONS)
      this.reasons.set(reason, { count: 1, first: { file, place } });
    else if (known) known.count += 1;
    else this.reasons.set(OTHER_REASONS, { count: 1, first: { file, place } });
  }
}
