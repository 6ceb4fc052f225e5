/** Items as they are answered. */
import * as z from "zod";
import { answeredRevision, answeredTimestamp } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { TIERS } from "../monitoring/metric-record.ts";

const meta = lazily(() =>
  z.object({
    created_at: answeredTimestamp,
    updated_at: answeredTimestamp,
    compute_id: z.string().nullable().meta({ example: "compute-123" }),
  }),
);
const data = lazily(() =>
  z.record(z.string(), z.unknown()).meta({ example: { age: 30, income: 60000, city: "SF" } }),
);
const origin = lazily(() => ({
  revision: answeredRevision,
  source: z.enum(TIERS).meta({ description: "Where the answer came from." }),
}));

export const itemSchema = lazily(() =>
  z
    .object({
      bright_uid: z
        .string()
        .optional()
        .meta({ example: "user-123", description: "The entity, under the name of its type." }),
      account_id: z.string().optional(),
      category: z.string().meta({ example: "user_features" }),
      features: z.object({ data: data(), meta: meta() }),
      ...origin(),
    })
    .catchall(z.string().meta({ description: "The entity, under the name of a type that was declared." }))
    .meta({ id: "Item" }),
);

export const itemsSchema = lazily(() =>
  z
    .object({
      entity_value: z.string().meta({ example: "user-123" }),
      entity_type: z.string().meta({ example: "bright_uid" }),
      items: z.record(z.string(), z.object({ features: z.object({ data: data(), metadata: meta() }) })),
      unavailable_feature_categories: z.array(z.string()).meta({ example: [] }),
      unavailable_features: z
        .record(z.string(), z.array(z.string()))
        .meta({ description: "Features that a known category does not have.", example: {} }),
      ...origin(),
    })
    .meta({ id: "Items" }),
);
