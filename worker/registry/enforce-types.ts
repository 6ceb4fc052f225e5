/** Checks written values against the types of registered features. Pure. */
import type { FeatureValues } from "../http/fields.ts";
import type { StoredFeature } from "./catalog.ts";
import { conform } from "./dtypes.ts";
import { parseReference, storedName } from "./versions.ts";

/** Never the value itself. */
export type TypeFault =
  /** A value that is not of its feature's type. */
  | { reason: "type_mismatch"; feature: string; expected: string; found: string }
  /** Another spelling of a version, under which nobody would find the value. */
  | { reason: "version_spelling"; feature: string; stored: string };

type Enforced = { ok: true; features: FeatureValues } | { ok: false; fault: TypeFault };

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
    const stored = registered.has(name) ? name : spelledOtherwise(registered, name);
    if (stored !== name) return { ok: false, fault: { reason: "version_spelling", feature: name, stored } };
    const dtype = registered.get(name)?.version.dtype;
    const checked = dtype && dtype !== "vector" ? conform(dtype, value) : ({ ok: true, value } as const);
    if (!checked.ok) {
      const { found } = checked;
      return { ok: false, fault: { reason: "type_mismatch", feature: name, expected: dtype ?? "", found } };
    }
    typed.push([name, checked.value]);
  }
  const values = Object.fromEntries(typed);
  return { ok: true, features: { ...features, values, data: JSON.stringify(values) } };
}

/** Under which name a version's values are stored, where `name` is another spelling of it; else `name` itself. */
function spelledOtherwise(registered: ReadonlyMap<string, StoredFeature>, name: string): string {
  const reference = parseReference(name);
  if (reference?.kind !== "registered" || reference.version === null) return name;
  const stored = storedName(reference.name, reference.version);
  // A version that is not there yet may be filled before it is registered, under the name that it will have.
  return registered.has(stored) || registered.has(reference.name) ? stored : name;
}

export function describeFault(fault: TypeFault): string {
  const { feature } = fault;
  return fault.reason === "type_mismatch"
    ? `feature \`${feature}\` is of type ${fault.expected}, found ${fault.found}`
    : `values of \`${feature}\` are written as \`${fault.stored}\``;
}
