/**
 * What an answer of the item routes holds, for the metrics: a feature that was asked for by name is one value, a
 * category that was asked for whole is one too, because nobody takes it apart. Pure.
 */
import type { EntityRef } from "../keys.ts";
import type { ValueTally } from "../monitoring/value-tally.ts";
import type { Micros } from "../timestamps.ts";
import { type DocumentCategory, timesOf, valuesOf } from "./document.ts";
import { type Judged, liveCategoryOf, type Selection } from "./item-answers.ts";
import type { EntityRead } from "./read-entities.ts";

export interface AnsweredEntity {
  ref: EntityRef;
  read: EntityRead;
  judged: Judged;
}

/** `GET /get/item`. */
export function tallyItem(tally: ValueTally, category: string, { ref, read, judged }: AnsweredEntity): void {
  const found = liveCategoryOf(ref, category, read, judged);
  if (found) tally.present(judged.now - found.eventTime);
  else tally.NOT_FOUND += 1;
}

/** `POST /get/items`. */
export function tallyItems(tally: ValueTally, selection: Selection, answered: AnsweredEntity): void {
  const { ref, read, judged } = answered;
  for (const [category, { whole, names }] of selection) {
    if (whole) tallyItem(tally, category, answered);
    if (names.length === 0) continue;
    const found = liveCategoryOf(ref, category, read, judged);
    for (const name of names) tallyFeature(tally, found, name, judged.now);
  }
}

function tallyFeature(tally: ValueTally, found: DocumentCategory | null, name: string, now: Micros): void {
  const json = found ? valuesOf(found).get(name) : undefined;
  if (!found || json === undefined) tally.NOT_FOUND += 1;
  else if (json === "null") tally.NULL_VALUE += 1;
  else tally.present(now - timesOf(found, name).eventTime);
}
