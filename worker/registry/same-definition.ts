/** Whether a registration, of a feature or of a raw table, is what is registered already. Pure. */
import { Problem } from "../errors.ts";
import type { Checked } from "../http/fields.ts";
import { canonicalJson } from "../json.ts";
import {
  MAX_DEFINITIONS_BYTES,
  MAX_FEATURES_PER_TENANT,
  MAX_STREAMING_VERSIONS_PER_TABLE,
  MAX_VERSIONS_PER_TENANT,
} from "../limits.ts";
import type { SentTtl, versionBody } from "./definitions.ts";
import type { WhyNotAdded } from "./may-be-added.ts";
import {
  type NewFeature,
  type NewVersion,
  type RegisteredFeature,
  type RegisteredVersion,
  type Words,
  wordsOfVersion,
} from "./registry-store.ts";
import { MAX_VERSION } from "./versions.ts";

/** A field, what is registered, and what is asked for. */
type Pair = [field: string, there: unknown, asked: unknown];

/**
 * @param body As it was sent: of two fields that mean the same, the one that stands in it is named.
 * @returns null where there is no such version, and nothing about the feature differs.
 * @throws Problem 409 naming every field in which the registration differs from what is registered.
 */
export function assertSameDefinition(
  registered: RegisteredFeature,
  { feature, version }: { feature: NewFeature; version: NewVersion },
  body: SentTtl,
): RegisteredVersion | null {
  const own = registered.versions.find((row) => row.version === version.version);
  const pairs = pairsOfFeature(registered, feature);
  if (own) {
    pairs.push(
      ["dtype", own.dtype, version.dtype],
      ["computation_logic", own.computationLogic, version.computationLogic],
      [sentTtlField(body), own.ttlSeconds, version.ttlSeconds],
      ["default_value", sameText(own.defaultValue), sameText(version.defaultValue)],
    );
    const { description, owner, tags } = asRegistered(own);
    const hasWords = description !== null || owner !== null || tags !== null;
    const isFirst = registered.versions.every(({ versionId }) => own.versionId <= versionId);
    // A later version about which nothing was said, or not kept, contradicts nothing.
    if (hasWords || isFirst) {
      const first = wordsOfVersion(asRegistered(registered), asRegistered(own));
      pairs.push(...pairsOfWords({ now: wordsOfVersion(registered, own), first }, version.words));
    }
  }
  assertSame(FEATURE_EXISTS, pairs);
  return own ?? null;
}

/** @throws Problem 409 naming every field in which a computed feature differs from what is registered. */
export function assertSameFeature(registered: RegisteredFeature, feature: NewFeature): void {
  assertSame(FEATURE_EXISTS, [
    ...pairsOfFeature(registered, feature),
    ["entity_key", registered.entityKey, feature.entityKey],
    ["computation_logic", registered.computationLogic, feature.computationLogic],
    ...pairsOfWords({ now: registered, first: asRegistered(registered) }, feature),
  ]);
}

/** @throws Problem 409 where a version brings something of its feature's that is another there. */
export function assertOfFeature(registered: RegisteredFeature, body: Checked<typeof versionBody>): void {
  const pairs: Pair[] = [
    ["name", registered.name, body.name],
    ["entity_type", registered.entityType, body.entity_type],
    ["category", registered.category, body.category],
    ["entity_key", registered.entityKey, body.entity_key],
    ["materialize", registered.materialize, body.materialize],
  ];
  assertSame(
    FEATURE_EXISTS,
    pairs.filter(([, , asked]) => asked != null),
  );
}

/** Why a feature, or a version of it, could not be added that is not there. */
export function notAdded(
  { kind, materialize }: NewFeature,
  { sharing, goneUpTo, isFull }: WhyNotAdded,
): Problem {
  if (sharing !== null) {
    const [field, msg] =
      kind === "computed"
        ? [
            "name",
            `the category of this name holds the registered feature ${sharing}: a vector is all of its category`,
          ]
        : ["category", `this category is the vector of the computed feature ${sharing}`];
    return new Problem(409, msg, { errors: [{ loc: ["body", field], msg, type: "conflict" }] });
  }
  if (goneUpTo !== null) {
    const left = goneUpTo < MAX_VERSION ? `take one from ${goneUpTo + 1} on` : "version 1 alone is left";
    const msg = `a removed feature of this name had versions up to ${goneUpTo}, whose values may still be there: ${left}`;
    return new Problem(409, msg, { errors: [{ loc: ["body", "version"], msg, type: "conflict" }] });
  }
  if (isFull) return new Problem(409, FULL);
  return new Problem(409, materialize === "on_ingest" ? TOO_MANY_ACTIVE : "it was removed meanwhile");
}

export const TOO_MANY_ACTIVE = `of the features that are computed from one raw table on_ingest, ${MAX_STREAMING_VERSIONS_PER_TABLE} versions may be active`;

export const FULL = `a tenant may have ${MAX_FEATURES_PER_TENANT} features, and ${MAX_VERSIONS_PER_TENANT} versions of them with ${MAX_DEFINITIONS_BYTES} bytes of SQL, default values, descriptions and tags`;

function sentTtlField({ ttl_hours, ttl_seconds }: SentTtl): keyof SentTtl {
  return ttl_seconds == null && ttl_hours !== undefined ? "ttl_hours" : "ttl_seconds";
}

/** @throws Problem 409 where one is computed and the other written: then nearly every field is another. */
function pairsOfFeature(registered: RegisteredFeature, feature: NewFeature): Pair[] {
  if (registered.kind !== feature.kind) {
    const there = registered.kind === "computed" ? "which is computed" : "whose values are written";
    const msg = `this name is that of a registered feature ${there}`;
    throw new Problem(409, msg, { errors: [{ loc: ["body", "name"], msg, type: "conflict" }] });
  }
  return [
    ["raw_table_id", registered.rawTableId, feature.rawTableId],
    ["materialize", registered.materialize, feature.materialize],
    ["entity_type", registered.entityType, feature.entityType],
    ["category", registered.category, feature.category],
  ];
}

const sameText = (json: string | null) => json && canonicalJson(json);

const asRegistered = <W extends Words>(row: W & { registeredWords: Words | null }): Words =>
  row.registeredWords ?? row;

/**
 * Words that are left out are as they are, and the order of tags says nothing. Who registers again what was registered
 * first does not know that somebody has changed the words since, and changes them back no more than anything else.
 *
 * @param there As they are, and as they were registered.
 */
function pairsOfWords(there: { now: Words; first: Words }, asked: Words): Pair[] {
  const pair = (field: string, textOf: (words: Words) => string | null): Pair => {
    const [now, first, other] = [textOf(there.now), textOf(there.first), textOf(asked)];
    return [field, now, other === null || other === first ? now : other];
  };
  return [
    pair("description", ({ description }) => description),
    pair("owner", ({ owner }) => owner),
    pair("tags", ({ tags }) => (tags && tags.length > 0 ? JSON.stringify([...new Set(tags)].sort()) : null)),
  ];
}

const FEATURE_EXISTS = "this feature is registered already";

/**
 * @param exists What there is, in words.
 * @throws Problem 409 naming every field in which the two differ.
 */
export function assertSame(exists: string, pairs: readonly Pair[]): void {
  const differing = pairs.filter(([, there, asked]) => there !== asked).map(([field]) => field);
  if (differing.length === 0) return;
  throw new Problem(409, `${exists}, with another ${differing.join(", ")}`, {
    errors: differing.map((field) => ({
      loc: ["body", field],
      msg: "differs from what is registered",
      type: "conflict",
    })),
  });
}
