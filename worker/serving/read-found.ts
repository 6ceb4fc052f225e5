/** Reads one entity, and finds in it what is asked for. */
import type { EntityRef } from "../keys.ts";
import { catalogIfAny } from "../registry/catalog.ts";
import { MICROS_PER_MS } from "../timestamps.ts";
import type { EntityDocument } from "./document.ts";
import { type Found, findCategories, type Selection } from "./item-answers.ts";
import { type EntityRead, type ReadContext, readEntity } from "./read-entities.ts";
import { tallyItems } from "./tally-items.ts";

/** Registered TTLs are in the catalog, which is loaded while the entity is read. */
export async function readFound(
  context: ReadContext,
  ref: EntityRef,
  selection: Selection | "all",
): Promise<{ read: EntityRead; found: Found[] }> {
  const known = catalogIfAny(context);
  const reading = readEntity(context, ref);
  const [read, catalog] =
    known instanceof Promise ? await Promise.all([reading, known]) : [await reading, known];
  const now = context.nowMs * MICROS_PER_MS;
  const selected = selection === "all" ? allOf(read.document) : selection;
  const found = findCategories(ref, selected, read, { now, catalog });
  if (context.metrics) tallyItems(context.metrics.tally, found, now);
  return { read, found };
}

/** By name: a document has them as they came, D1 in the order of its key. */
function allOf(document: EntityDocument | null): Selection {
  const names = [...(document?.categories.keys() ?? [])].sort();
  return new Map(names.map((name) => [name, { whole: true, names: [] }]));
}
