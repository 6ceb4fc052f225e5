/** The KV keys of the documents of many entities: made once for a list that is asked for again as the same object. */
import type { RequestContext } from "../http/context.ts";
import { documentKey, type EntityRef } from "../keys.ts";

interface Keyed {
  tenant: string;
  partitions: number;
  keys: readonly string[];
}

/** By the list. The same text in a request is the same object, see `http/known-inputs.ts`. */
const known = new WeakMap<readonly EntityRef[], Keyed>();

/** @returns in the order of `refs`, which must not be changed later; a promise where a key must be hashed. */
export function documentKeys(
  { tenant, settings: { writerPartitions: partitions } }: Pick<RequestContext, "tenant" | "settings">,
  refs: readonly EntityRef[],
): readonly string[] | Promise<readonly string[]> {
  const before = known.get(refs);
  if (before?.tenant === tenant && before.partitions === partitions) return before.keys;
  const keys = refs.map((ref) => documentKey(tenant, partitions, ref));
  if (!keys.every((key) => typeof key === "string")) return Promise.all(keys);
  known.set(refs, { tenant, partitions, keys });
  return keys;
}
