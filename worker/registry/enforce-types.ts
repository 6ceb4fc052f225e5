/** Checks written values against the types of registered features. Pure. */
import type { FeatureValues } from "../http/fields.ts";
import type { StoredFeature } from "./catalog.ts";
import { conform } from "./dtypes.ts";

/** A value that is not of its feature's type; never the value itself. */
export interface TypeFault {
  feature: string;
  expected: string;
  found: string;
}

export type Enforced = { ok: true; features: FeatureValues } | { ok: false; fault: TypeFault };

/**
 * Values as they are stored: an int64 given as text becomes a number, a timestamp gets its one form.
 *
 * @param registered by stored name; undefined when nothing of the category is registered.
 */
export function enforceTypes(
  registered: ReadonlyMap<string, StoredFeature> | undefined,
  features: FeatureValues,
): Enforced {
  if (!registered) return { ok: true, features };
  const typed: [string, unknown][] = [];
  for (const [name, value] of Object.entries(features.values)) {
    const dtype = registered.get(name)?.version.dtype;
    const checked = dtype && dtype !== "vector" ? conform(dtype, value) : ({ ok: true, value } as const);
    if (!checked.ok)
      return { ok: false, fault: { feature: name, expected: dtype ?? "", found: checked.found } };
    typed.push([name, checked.value]);
  }
  const values = Object.fromEntries(typed);
  return { ok: true, features: { ...features, values, data: JSON.stringify(values) } };
}

export function describeFault({ feature, expected, found }: TypeFault): string {
  return `feature \`${feature}\` is of type ${expected}, found ${found}`;
}
