/** The entity type of a request: under either of its two names, and known. */
import * as z from "zod";
import { BUILT_IN_ENTITY_TYPES } from "../db/current-rows.ts";
import { unprocessable } from "../errors.ts";
import { entityType } from "./fields.ts";

const DEFAULT_ENTITY_TYPE = "bright_uid";

/** Query parameters `entity_type` and `table_type`, which mean the same. */
export const entityTypeQuery = {
  entity_type: entityType.optional(),
  table_type: entityType.optional().meta({ description: "Another name of `entity_type`." }),
};

const query = z.object(entityTypeQuery);

/** @throws Problem 422 when the two names disagree or the type is not known. */
export function entityTypeOf({ entity_type, table_type }: z.output<typeof query>): string {
  if (entity_type !== undefined && table_type !== undefined && entity_type !== table_type) {
    throw unprocessable({
      loc: ["query", "table_type"],
      msg: "must be the same as entity_type when both are given",
      type: "conflicting_parameters",
    });
  }
  const loc = ["query", entity_type === undefined && table_type !== undefined ? "table_type" : "entity_type"];
  return knownEntityType(entity_type ?? table_type ?? DEFAULT_ENTITY_TYPE, loc);
}

export function isKnownEntityType(type: string): boolean {
  return BUILT_IN_ENTITY_TYPES.includes(type);
}

/** @throws Problem 422 naming the place, when the type is neither built in nor declared. */
export function knownEntityType(type: string, loc: (string | number)[]): string {
  if (isKnownEntityType(type)) return type;
  const msg = `is not a known entity type; built in are ${BUILT_IN_ENTITY_TYPES.join(" and ")}`;
  throw unprocessable({ loc, msg, type: "unknown_entity_type" });
}
