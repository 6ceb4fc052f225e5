/** Deleting entities and their categories. */
import * as z from "zod";
import { Problem } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import type { AppContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { assertKnownEntityType } from "../http/entity-type.ts";
import {
  answeredRevision,
  answeredTimestamp,
  type Checked,
  category,
  elsewhere,
  entityType,
  entityValue,
} from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { submitRequest, writeAnswerHeaders, writeRequestHeaders } from "./submit-request.ts";

const deletedSchema = lazily(() =>
  z
    .object({
      entity_type: z.string().meta({ example: "bright_uid" }),
      entity_value: z.string().meta({ example: "user-123" }),
      categories_removed: z.array(z.string()).meta({ example: ["user_features"] }),
      removed: z.object({
        current: z.int().meta({ description: "Current rows in D1.", example: 1 }),
        history: z.int().meta({ description: "History rows in D1.", example: 12 }),
        cache: z.int().meta({ description: "Hot-cache documents in KV.", example: 1 }),
      }),
      revision: answeredRevision,
      timestamp: answeredTimestamp,
    })
    .meta({ id: "Deleted" }),
);

const entityParam = lazily(() => z.object({ entity_type: entityType, entity_value: entityValue }));

const dating = lazily(() => ({
  dated: z.enum(["now"]).optional().meta({
    description:
      "`now`: the tombstone is dated now, though a value, or the tombstone of an earlier deletion, may be dated in the future; so what is dated from now on is applied again. For an event time that was a mistake.",
  }),
}));

const deleteSpec = {
  method: "delete",
  tag: "entities",
  description:
    "A tombstone stays, dated after all that it removes, so that a write with an older event time cannot bring it back. Its history and cached document go too.",
  scope: "write",
  requestHeaders: writeRequestHeaders,
  answers: { 200: { description: "What was removed.", schema: deletedSchema, headers: writeAnswerHeaders } },
  problems: [404],
} as const satisfies Partial<Parameters<typeof endpoint>[0]>;

export const deleteEntity = endpoint(
  {
    ...deleteSpec,
    path: "/api/v1/entities/{entity_type}/{entity_value}",
    summary: "Delete an entity",
    request: {
      param: entityParam,
      // Passed over, it would delete much more than was meant.
      query: () => z.object({ ...dating(), category: elsewhere("is the last part of the path") }),
    },
  },
  (c, { param, query }) => remove(c, { ...param, category: null }, query),
);

export const deleteCategory = endpoint(
  {
    ...deleteSpec,
    path: "/api/v1/entities/{entity_type}/{entity_value}/{category}",
    summary: "Delete one category of an entity",
    request: { param: () => entityParam().extend({ category }), query: () => z.object(dating()) },
  },
  (c, { param, query }) => remove(c, param, query),
);

async function remove(
  c: AppContext,
  param: Checked<typeof entityParam> & { category: string | null },
  { dated }: { dated?: "now" | undefined },
) {
  const { entity_type: type, entity_value: value, category: name } = param;
  await assertKnownEntityType(c, type, ["path", "entity_type"]);
  const ref = { entityType: type, entityValue: value };
  const { results, timestamp, headers, refusalHeaders } = await submitRequest(c, [
    { kind: "delete", ...ref, category: name, datedNow: dated === "now" },
  ]);
  const [result] = results;
  if (result?.outcome !== "deleted") {
    throw new Problem(404, "there is nothing to delete", { headers: refusalHeaders });
  }
  return jsonAnswer(
    {
      entity_type: type,
      entity_value: value,
      categories_removed: result.categories,
      removed: { current: result.categories.length, history: result.history, cache: result.cached ? 1 : 0 },
      revision: result.revision,
      timestamp,
    },
    200,
    headers,
  );
}
