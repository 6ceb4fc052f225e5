/**
 * What an answer of the item routes holds, for the metrics: a feature that was asked for by name is one value, a
 * category that was asked for whole is one too, because nobody takes it apart. Pure.
 */
import type { ValueTally } from "../monitoring/value-tally.ts";
import type { Micros } from "../timestamps.ts";
import { type DocumentCategory, timesOf, valuesOf } from "./document.ts";
import type { Found } from "./item-answers.ts";

export function tallyItems(tally: ValueTally, found: readonly Found[], now: Micros): void {
  for (const { wanted, live } of found) {
    if (wanted.whole) {
      if (live) tally.present(now - live.eventTime);
      else tally.NOT_FOUND += 1;
    }
    for (const name of wanted.names) tallyFeature(tally, live, name, now);
  }
}

function tallyFeature(tally: ValueTally, found: DocumentCategory | null, name: string, now: Micros): void {
  const json = found ? valuesOf(found).get(name) : undefined;
  if (!found || json === undefined) tally.NOT_FOUND += 1;
  else if (json === "null") tally.NULL_VALUE += 1;
  else tally.present(now - timesOf(found, name).eventTime);
}
