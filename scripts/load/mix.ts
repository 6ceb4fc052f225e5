/** What the users ask, drawn by a seed: nine reads to one write. Pure. */
import { below } from "../random.ts";

export const KINDS = ["single", "multi", "online", "upsert"] as const;
export type Kind = (typeof KINDS)[number];

/** Of a hundred requests. */
const SHARES: Record<Kind, number> = { single: 50, multi: 20, online: 20, upsert: 10 };

export interface Asked {
  kind: Kind;
  method: "GET" | "POST";
  path: string;
  body: unknown;
}

const ENTITY_TYPE = "bright_uid";
const CATEGORIES = ["load_profile", "load_activity", "load_risk"] as const;
const FEATURES_PER_CATEGORY = 20;
const ENTITIES_PER_ONLINE_READ = 10;
const ONLINE_FEATURES = CATEGORIES.flatMap((category) =>
  Array.from({ length: 5 }, (_, i) => `${category}:${featureAt(i)}`),
);

export const entityAt = (position: number) => `load-${position}`;

function featureAt(position: number): string {
  return `f${String(position).padStart(2, "0")}`;
}

function features(random: () => number): Record<string, number> {
  return Object.fromEntries(
    Array.from({ length: FEATURES_PER_CATEGORY }, (_, i) => [featureAt(i), Math.round(random() * 1e6) / 100]),
  );
}

/** One entity, as `POST /items` and each row of `POST /items/batch` take it. */
export function entityBody(random: () => number, position: number) {
  return {
    entity_type: ENTITY_TYPE,
    entity_value: entityAt(position),
    feature_list: CATEGORIES.map((category) => ({ category, features: features(random) })),
  };
}

export const metadata = { source: "prediction_service" };

export function kindOf(random: () => number): Kind {
  let rest = below(random, 100);
  for (const kind of KINDS) {
    rest -= SHARES[kind];
    if (rest < 0) return kind;
  }
  return "single";
}

/** @param entities How many there are. */
export function nextRequest(random: () => number, entities: number): Asked {
  const kind = kindOf(random);
  return { kind, ...requestOf(kind, random, entities) };
}

function requestOf(kind: Kind, random: () => number, entities: number): Omit<Asked, "kind"> {
  const position = below(random, entities);
  if (kind === "single") {
    const path = `/api/v1/get/item/${entityAt(position)}/${CATEGORIES[0]}?entity_type=${ENTITY_TYPE}`;
    return { method: "GET", path, body: undefined };
  }
  if (kind === "multi") {
    const list = CATEGORIES.map((category) => `${category}:*`);
    const data = { entity_type: ENTITY_TYPE, entity_value: entityAt(position), feature_list: list };
    return { method: "POST", path: "/api/v1/get/items", body: { data } };
  }
  if (kind === "online") {
    const ids = Array.from({ length: ENTITIES_PER_ONLINE_READ }, () => entityAt(below(random, entities)));
    const body = { entity_type: ENTITY_TYPE, entity_ids: ids, feature_names: ONLINE_FEATURES };
    return { method: "POST", path: "/api/v1/features/online", body };
  }
  return { method: "POST", path: "/api/v1/items", body: { metadata, data: entityBody(random, position) } };
}
