/** The entities of the bench, and the requests about them. The same seed makes the same. */
import { below, randomOf } from "../random.ts";
import type { Request } from "./connection.ts";

export const CATEGORIES = ["profile", "transactions", "behaviour"] as const;
export const FEATURES_PER_CATEGORY = 20;
export const FEATURES_PER_ENTITY = CATEGORIES.length * FEATURES_PER_CATEGORY;

export const entityAt = (position: number) => `user-${position}`;
export const featureAt = (category: string, position: number) =>
  `${category}_${String(position).padStart(2, "0")}`;

export const featureNames = CATEGORIES.flatMap((category) =>
  Array.from({ length: FEATURES_PER_CATEGORY }, (_, i) => `${category}:${featureAt(category, i)}`),
);

/** As a model's inputs are: mostly numbers, some texts and truths. */
function valueAt(random: () => number, position: number): number | string | boolean {
  if (position % 10 === 0) return `segment-${below(random, 50)}`;
  if (position % 10 === 5) return random() < 0.5;
  return position % 2 === 0 ? below(random, 100_000) : Math.round(random() * 1e6) / 1e4;
}

function categoryOf(random: () => number, category: string) {
  const features = Array.from({ length: FEATURES_PER_CATEGORY }, (_, i) => [
    featureAt(category, i),
    valueAt(random, i),
  ]);
  return { category, features: Object.fromEntries(features) as Record<string, unknown> };
}

export const metadata = { source: "prediction_service" };

export function entityBody(random: () => number, position: number) {
  return {
    entity_type: "bright_uid",
    entity_value: entityAt(position),
    feature_list: CATEGORIES.map((category) => categoryOf(random, category)),
  };
}

export type Headers = Record<string, string>;

export const getOne = (position: number): Request => ({
  line: `GET /api/v1/get/item/${entityAt(position)}/${CATEGORIES[0]}?entity_type=bright_uid`,
});

export const getThree = (position: number): Request => ({
  line: "POST /api/v1/get/items",
  body: {
    data: {
      entity_type: "bright_uid",
      entity_value: entityAt(position),
      feature_list: CATEGORIES.map((category) => `${category}:*`),
    },
  },
});

export const getOnline = (positions: readonly number[]): Request => ({
  line: "POST /api/v1/features/online",
  body: { entity_type: "bright_uid", entity_ids: positions.map(entityAt), feature_names: featureNames },
});

export const putOne = (random: () => number, position: number): Request => ({
  line: "POST /api/v1/items",
  body: { metadata, data: entityBody(random, position) },
});

export const putMany = (random: () => number, positions: readonly number[]): Request => ({
  line: "POST /api/v1/items/batch",
  body: { metadata, data: positions.map((position) => entityBody(random, position)) },
});

/** The numbers from 0 to below `limit`, in an order of the seed's. */
export function shuffled(seed: number, limit: number): number[] {
  const random = randomOf(seed);
  const all = Array.from({ length: limit }, (_, i) => i);
  for (let i = limit - 1; i > 0; i -= 1) {
    const other = below(random, i + 1);
    const [a = 0, b = 0] = [all[i], all[other]];
    all[i] = b;
    all[other] = a;
  }
  return all;
}
