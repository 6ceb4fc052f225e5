/**
 * What an availability event contributes to the statistics of registered features. Pure.
 *
 * Counted is what was written, as the history has it: a feature that a replacement leaves out was not written. A write
 * that came too late to change anything is not announced, hence not counted.
 */
import type { FeatureAvailable } from "../../events/feature-available.ts";
import { MAX_COUNTED_FEATURES_PER_WRITE, MAX_STATS_VALUES_PER_CALL } from "../../limits.ts";
import { partsUpTo } from "../../parts.ts";
import { type Micros, parseTimestamp } from "../../timestamps.ts";
import type { Catalog, CatalogFeature, CatalogVersion, StoredFeature } from "../catalog.ts";
import { parseReference, storedName } from "../versions.ts";
import type { Observation } from "./roll-up.ts";
import type { VersionKey } from "./series.ts";

/** Which values of the history row of an event are wanted. */
export type Lookup = { event: FeatureAvailable; eventTime: Micros } & (
  | { kind: "scalars"; stored: ReadonlyMap<string, StoredFeature> }
  /** The whole category is the vector of a computed feature. */
  | { kind: "vector"; feature: CatalogFeature; version: CatalogVersion }
);

/** A value of the history, as `json_each` tells it: a number's value, the type alone of anything else. */
export type Cell = [name: string, type: string, number: number | null];

interface ObservedFeature extends VersionKey {
  value: Observation;
  /** The columns of a vector; empty for a scalar. */
  columns: [name: string, value: Observation][];
}

/** All that one event contributes; nothing of it counts a second time. */
export interface Contribution {
  eventId: string;
  ingestedAt: Micros;
  eventTime: Micros;
  features: ObservedFeature[];
}

/** Nothing for an event whose category holds no registered feature that it names. */
export function lookupsOf(event: FeatureAvailable, catalog: Catalog): Lookup[] {
  const eventTime = parseTimestamp(event.event_timestamp);
  if (eventTime === null) return [];
  const lookups: Lookup[] = [];
  const stored = storedScalars(event, catalog);
  if (stored.size > 0) lookups.push({ kind: "scalars", event, eventTime, stored });
  const vector = computedIn(catalog, event.entity_type, event.resource_name);
  if (vector) lookups.push({ kind: "vector", event, eventTime, ...vector });
  return lookups;
}

function storedScalars(event: FeatureAvailable, catalog: Catalog): Map<string, StoredFeature> {
  const registered = catalog.storedIn(event.entity_type, event.resource_name) ?? new Map();
  const names = event.features_truncated ? [...registered.keys()] : event.features;
  const wanted = new Map<string, StoredFeature>();
  for (const name of names) {
    const found = registered.get(name);
    if (found && wanted.size < MAX_COUNTED_FEATURES_PER_WRITE) wanted.set(name, found);
  }
  return wanted;
}

/** The version of a computed feature whose vectors are stored in this category. */
function computedIn(
  catalog: Catalog,
  entityType: string,
  category: string,
): { feature: CatalogFeature; version: CatalogVersion } | null {
  const reference = parseReference(category);
  if (reference?.kind !== "registered") return null;
  const feature = catalog.features.get(reference.name);
  const version = feature?.versions.get(reference.version ?? 1);
  if (feature?.kind !== "computed" || feature.entityType !== entityType || !version) return null;
  // `name@v2` and `name@1` are written forms of a reference, and no category of ours.
  return storedName(feature.name, version.version) === category ? { feature, version } : null;
}

/** @param found The cells of the history row of each lookup; null for a row that is gone: it counts nothing. */
export function contributionsOf(
  lookups: readonly Lookup[],
  found: readonly (readonly Cell[] | null)[],
): Contribution[] {
  const contributions = new Map<string, Contribution>();
  for (const [position, lookup] of lookups.entries()) {
    const cells = found[position];
    const ingestedAt = parseTimestamp(lookup.event.timestamp);
    if (!cells || ingestedAt === null) continue;
    const { event_id: eventId } = lookup.event;
    const known = contributions.get(eventId);
    const own = known ?? { eventId, ingestedAt, eventTime: lookup.eventTime, features: [] };
    own.features.push(...observedIn(lookup, cells));
    contributions.set(eventId, own);
  }
  return [...contributions.values()];
}

function observedIn(lookup: Lookup, cells: readonly Cell[]): ObservedFeature[] {
  if (lookup.kind === "vector") return [observedVector(lookup, cells)];
  return cells.flatMap(([name, ...cell]) => {
    const registered = lookup.stored.get(name);
    if (!registered) return [];
    const observed = observationOf(cell);
    const isMeasured = observed === null || MEASURED_DTYPES.has(registered.version.dtype);
    const value = isMeasured ? observed : "other";
    return [{ ...keyOf(registered), value, columns: [] }];
  });
}

/** A number within a `json` feature is no quantity of which there is a mean. */
const MEASURED_DTYPES: ReadonlySet<string> = new Set(["int64", "float64", "float32", "boolean"]);

/** A vector is null when all of its columns are. */
function observedVector(vector: StoredFeature, cells: readonly Cell[]): ObservedFeature {
  const columns = cells.map(([name, ...cell]): [string, Observation] => [name, observationOf(cell)]);
  const isNull = columns.length > 0 && columns.every(([, value]) => value === null);
  return { ...keyOf(vector), value: isNull ? null : "other", columns };
}

const keyOf = ({ feature, version }: StoredFeature): VersionKey => ({
  feature: feature.name,
  version: version.version,
  registeredAt: version.createdAt,
});

function observationOf([type, number]: [type: string, number: number | null]): Observation {
  switch (type) {
    case "null":
      return null;
    case "true":
      return 1;
    case "false":
      return 0;
    default:
      return number ?? "other";
  }
}

/** Cut into calls of the object; an event is in one of them, since it is counted as a whole. */
export function callsOf(contributions: readonly Contribution[]): Contribution[][] {
  const valuesIn = ({ features }: Contribution) =>
    features.reduce((total, { columns }) => total + 1 + columns.length, 0);
  return [...partsUpTo(contributions, valuesIn, MAX_STATS_VALUES_PER_CALL)].map(({ items }) => items);
}
