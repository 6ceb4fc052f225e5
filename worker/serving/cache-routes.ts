/** Removing cached documents: the route of system B. */
import * as z from "zod";
import { BUILT_IN_ENTITY_TYPES } from "../db/current-rows.ts";
import { unavailable } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { requestContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { entityTypeOf, entityTypeQuery, namedEntityType } from "../http/entity-type.ts";
import { entityValue } from "../http/fields.ts";
import { documentKey } from "../keys.ts";
import { lazily } from "../lazily.ts";
import { catalogOf } from "../registry/catalog.ts";
import { RETRY_AFTER_SECONDS } from "../timings.ts";
import { ownerOf } from "../writing/writer-access.ts";
import { isolateMemory } from "./memory.ts";

const invalidatedSchema = lazily(() =>
  z
    .object({
      status: z.literal("success"),
      entity_id: z.string().meta({ example: "user_123" }),
      invalidated_count: z.int().meta({ description: "Hot-cache documents removed.", example: 1 }),
    })
    .meta({ id: "Invalidated" }),
);

const invalidate = endpoint(
  {
    method: "delete",
    path: "/api/v1/cache/invalidate/{entity_id}",
    tag: "features",
    summary: "Remove an entity's cached document",
    description:
      "Seldom needed: every write keeps the cache current. Other locations may answer from their copies for up to a minute. Without `entity_type`: this value in every entity type.",
    scope: "write",
    request: {
      param: () => z.object({ entity_id: entityValue.meta({ example: "user_123" }) }),
      query: () => z.object(entityTypeQuery),
    },
    answers: { 200: { description: "How many were removed.", schema: invalidatedSchema } },
  },
  async (c, { param, query }) => {
    const context = requestContext(c);
    const types =
      namedEntityType(query) === undefined
        ? new Set([...BUILT_IN_ENTITY_TYPES, ...(await catalogOf(context)).entityTypes])
        : [await entityTypeOf(c, query)];
    const removed = await Promise.all(
      [...types].map(async (type) => {
        const ref = { entityType: type, entityValue: param.entity_id };
        const { writer, identity } = await ownerOf(context, ref);
        const wasCached = await writer.invalidate(identity, ref).catch((cause: unknown) => {
          context.log.warning("an entity writer did not answer", {}, cause);
          throw unavailable("the cache could not be reached; try again", RETRY_AFTER_SECONDS);
        });
        isolateMemory.forget(documentKey(context.tenant, context.settings.writerPartitions, ref));
        return wasCached;
      }),
    );
    return jsonAnswer({
      status: "success",
      entity_id: param.entity_id,
      invalidated_count: removed.filter(Boolean).length,
    });
  },
);

export const cacheEndpoints = [invalidate];
