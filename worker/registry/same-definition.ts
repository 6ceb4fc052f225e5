/** Whether a registration is what is registered already. Pure. */
import { Problem } from "../errors.ts";
import { canonicalJson } from "../json.ts";
import type { SentTtl } from "./definitions.ts";
import type { NewFeature, NewVersion, RegisteredFeature, VersionRow } from "./registry-store.ts";

/** A field, what is registered, and what is asked for. */
type Pair = [field: string, there: unknown, asked: unknown];

/**
 * @param body As it was sent: of two fields that mean the same, the one that stands in it is named.
 * @throws Problem 409 naming every field in which the registration differs from what is registered.
 */
export function assertSameDefinition(
  registered: RegisteredFeature,
  { feature, version }: { feature: NewFeature; version: NewVersion },
  body: SentTtl,
): VersionRow {
  const own = registered.versions.find((row) => row.version === version.version);
  const pairs = pairsOfFeature(registered, feature);
  if (own) {
    pairs.push(
      ["dtype", own.dtype, version.dtype],
      ["computation_logic", own.computationLogic, version.computationLogic],
      [sentTtlField(body), own.ttlSeconds, version.ttlSeconds],
      ["default_value", sameText(own.defaultValue), sameText(version.defaultValue)],
    );
  }
  // They are the feature's, as its first registration gave them: those of a later one are not kept.
  if (own && registered.versions.every(({ versionId }) => own.versionId <= versionId)) {
    pairs.push(...pairsOfWords(registered, feature));
  }
  const differing = differingFields(pairs);
  if (own && differing.length === 0) return own;
  throw conflict(differing);
}

/** @throws Problem 409 naming every field in which a computed feature differs from what is registered. */
export function assertSameFeature(registered: RegisteredFeature, feature: NewFeature): void {
  const differing = differingFields([
    ...pairsOfFeature(registered, feature),
    ["entity_key", registered.entityKey, feature.entityKey],
    ["computation_logic", registered.computationLogic, feature.computationLogic],
    ...pairsOfWords(registered, feature),
  ]);
  if (differing.length > 0) throw conflict(differing);
}

function sentTtlField({ ttl_hours, ttl_seconds }: SentTtl): keyof SentTtl {
  return ttl_seconds == null && ttl_hours !== undefined ? "ttl_hours" : "ttl_seconds";
}

function pairsOfFeature(registered: RegisteredFeature, feature: NewFeature): Pair[] {
  return [
    ["kind", registered.kind, feature.kind],
    ["raw_table_id", registered.rawTableId, feature.rawTableId],
    ["materialize", registered.materialize, feature.materialize],
    ["entity_type", registered.entityType, feature.entityType],
    ["category", registered.category, feature.category],
  ];
}

const sameText = (json: string | null) => json && canonicalJson(json);

/** Words about a feature that are left out are as they were. */
function pairsOfWords(registered: RegisteredFeature, { description, owner, tags }: NewFeature): Pair[] {
  return [
    ["description", registered.description, description ?? registered.description],
    ["owner", registered.owner, owner ?? registered.owner],
    ["tags", registered.tags, tags.length > 0 ? JSON.stringify(tags) : registered.tags],
  ];
}

function differingFields(pairs: readonly Pair[]): string[] {
  return pairs.filter(([, there, asked]) => there !== asked).map(([field]) => field);
}

function conflict(differing: readonly string[]): Problem {
  return new Problem(409, `this feature is registered already, with another ${differing.join(", ")}`, {
    errors: differing.map((field) => ({
      loc: ["body", field],
      msg: "differs from what is registered",
      type: "conflict",
    })),
  });
}
