/** The entity type of a request: under either of its two names, and known. */
import * as z from "zod";
import { BUILT_IN_ENTITY_TYPES } from "../db/current-rows.ts";
import { unprocessable } from "../errors.ts";
import { catalogOf, isKnownEntityType, UNKNOWN_ENTITY_TYPE } from "../registry/catalog.ts";
import { type AppContext, requestContext } from "./context.ts";
import { entityType } from "./fields.ts";

export const DEFAULT_ENTITY_TYPE = "bright_uid";

/** Query parameters `entity_type` and `table_type`, which mean the same. */
export const entityTypeQuery = {
  entity_type: entityType.optional(),
  table_type: entityType.optional().meta({ description: "Another name of `entity_type`." }),
};

const query = z.object(entityTypeQuery);

/** Undefined when neither name is given. Pure. @throws Problem 422 when the two disagree. */
export function namedEntityType({ entity_type, table_type }: z.output<typeof query>): string | undefined {
  if (entity_type !== undefined && table_type !== undefined && entity_type !== table_type) {
    throw unprocessable({
      loc: ["query", "table_type"],
      msg: "must be the same as entity_type when both are given",
      type: "conflicting_parameters",
    });
  }
  return entity_type ?? table_type;
}

/** Pure. @throws Problem 422 when the two names disagree. */
export function entityTypeIn(asked: z.output<typeof query>): string {
  return namedEntityType(asked) ?? DEFAULT_ENTITY_TYPE;
}

/** @throws Problem 422 when the two names disagree or the type is not known. */
export async function entityTypeOf(c: AppContext, asked: z.output<typeof query>): Promise<string> {
  const type = entityTypeIn(asked);
  const isOther = asked.entity_type === undefined && asked.table_type !== undefined;
  await assertKnownEntityType(c, type, ["query", isOther ? "table_type" : "entity_type"]);
  return type;
}

/** A built-in type needs no catalog, so that it can be read when D1 is down. */
export function isBuiltIn(type: string): boolean {
  return BUILT_IN_ENTITY_TYPES.includes(type);
}

/** @throws Problem 422 naming the place, when the type is neither built in nor declared. */
export async function assertKnownEntityType(
  c: AppContext,
  type: string,
  loc: (string | number)[],
): Promise<void> {
  if (isBuiltIn(type)) return;
  if (isKnownEntityType(type, await catalogOf(requestContext(c)))) return;
  throw unprocessable({ loc, msg: UNKNOWN_ENTITY_TYPE, type: "unknown_entity_type" });
}
