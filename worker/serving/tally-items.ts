/**
 * What an answer of the item routes holds, for the metrics: a feature that was asked for by name is one value, a
 * category that was asked for whole is one too, because nobody takes it apart. Pure.
 */
import type { ValueTally } from "../monitoring/value-tally.ts";
import type { Micros } from "../timestamps.ts";
import { type DocumentCategory, liveCategory, timesOf, valuesOf } from "./document.ts";
import type { Selection } from "./item-answers.ts";
import type { EntityRead } from "./read-entities.ts";

/** `GET /get/item`. */
export function tallyItem(tally: ValueTally, category: string, read: EntityRead, now: Micros): void {
  const found = liveCategory(read.document?.categories.get(category), now);
  if (found) tally.present(now - found.eventTime);
  else tally.NOT_FOUND += 1;
}

/** `POST /get/items`. */
export function tallyItems(tally: ValueTally, selection: Selection, read: EntityRead, now: Micros): void {
  for (const [category, { whole, names }] of selection) {
    if (whole) tallyItem(tally, category, read, now);
    if (names.length === 0) continue;
    const found = liveCategory(read.document?.categories.get(category), now);
    for (const name of names) tallyFeature(tally, found, name, now);
  }
}

function tallyFeature(tally: ValueTally, found: DocumentCategory | null, name: string, now: Micros): void {
  const json = found ? valuesOf(found).get(name) : undefined;
  if (!found || json === undefined) tally.NOT_FOUND += 1;
  else if (json === "null") tally.NULL_VALUE += 1;
  else tally.present(now - timesOf(found, name).eventTime);
}
