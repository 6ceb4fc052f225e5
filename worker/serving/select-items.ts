/** Which values of which categories a list of references asks for. */
import { unprocessable } from "../errors.ts";
import { type AppContext, requestContext } from "../http/context.ts";
import { madeOnce } from "../made-once.ts";
import { catalogOf } from "../registry/catalog.ts";
import { placeOf, WHOLE_CATEGORY } from "../registry/resolve-references.ts";
import type { Reference } from "../registry/versions.ts";
import type { Selection } from "./item-answers.ts";

interface ItemsAsked {
  entity_type: string;
  entity_value: string;
  feature_list: Reference[];
}

/** The selection; null where it needs the catalog. Names with a category do not, so they can be read when D1 is down. */
export const itemsAsked = madeOnce(({ entity_type, entity_value, feature_list }: ItemsAsked) => ({
  ref: { entityType: entity_type, entityValue: entity_value },
  selection: feature_list.every((one) => one.kind === "category")
    ? selectionOf(feature_list, (place) => place)
    : null,
}));

/** The selection for registered names, which needs the catalog. */
export async function registeredSelection(
  c: AppContext,
  type: string,
  references: readonly Reference[],
): Promise<Selection> {
  const catalog = await catalogOf(requestContext(c));
  return selectionOf(references, (one, position) => {
    const place = one.kind === "category" ? one : placeOf(catalog, type, one);
    if (!("nowhere" in place)) return place;
    const loc = ["body", "data", "feature_list", position];
    throw unprocessable({ loc, msg: place.nowhere, type: "unknown_feature" });
  });
}

interface Place {
  category: string;
  feature: string;
}

function selectionOf<R>(references: readonly R[], place: (one: R, position: number) => Place): Selection {
  const selection = new Map<string, { whole: boolean; names: string[] }>();
  for (const [position, one] of references.entries()) {
    const { category, feature } = place(one, position);
    const wanted = selection.get(category) ?? { whole: false, names: [] };
    if (feature === WHOLE_CATEGORY) wanted.whole = true;
    else if (!wanted.names.includes(feature)) wanted.names.push(feature);
    selection.set(category, wanted);
  }
  return selection;
}
