/**
 * The KV keys of documents, kept with the object that names the entities: a repeated request brings the same object again
 * (see `http/known-inputs.ts`).
 */
import type { RequestContext } from "../http/context.ts";
import { documentKey, type EntityRef } from "../keys.ts";

type Context = Pick<RequestContext, "tenant" | "settings">;

interface Keyed<K> {
  tenant: string;
  partitions: number;
  keys: K;
}

class Keys<O extends object, K> {
  readonly #known = new WeakMap<O, Keyed<K>>();

  get(of: O, { tenant, settings }: Context): K | undefined {
    const known = this.#known.get(of);
    return known?.tenant === tenant && known.partitions === settings.writerPartitions
      ? known.keys
      : undefined;
  }

  keep(of: O, { tenant, settings }: Context, keys: K): K {
    this.#known.set(of, { tenant, partitions: settings.writerPartitions, keys });
    return keys;
  }
}

const ofOne = new Keys<EntityRef, string>();
const ofMany = new Keys<readonly EntityRef[], readonly string[]>();

export function documentKeyOf(context: Context, ref: EntityRef): string {
  return ofOne.get(ref, context) ?? ofOne.keep(ref, context, keyOf(context, ref));
}

/** @returns in the order of `refs`, which must not be changed later. */
export function documentKeys(context: Context, refs: readonly EntityRef[]): readonly string[] {
  const known = ofMany.get(refs, context);
  if (known) return known;
  const keys = refs.map((ref) => keyOf(context, ref));
  return ofMany.keep(refs, context, keys);
}

function keyOf({ tenant, settings }: Context, ref: EntityRef): string {
  return documentKey(tenant, settings.writerPartitions, ref);
}
