/** Reading an entity whole, by whoever does not know what its categories are. */
import * as z from "zod";
import { Problem } from "../errors.ts";
import { jsonTextAnswer } from "../http/answer.ts";
import { endpoint } from "../http/endpoint.ts";
import { assertKnownEntityType } from "../http/entity-type.ts";
import { entityType, entityValue } from "../http/fields.ts";
import { itemsAnswer } from "./item-answers.ts";
import { itemsSchema } from "./item-schemas.ts";
import { consistencyQuery, readContext, TOKEN_HEADER } from "./read-context.ts";
import { readFound } from "./read-found.ts";

const getEntity = endpoint(
  {
    method: "get",
    path: "/api/v1/entities/{entity_type}/{entity_value}",
    tag: "entities",
    summary: "Read all that is known of an entity",
    description:
      "All of its categories, as `POST /api/v1/get/items` answers them. Those whose TTL is over are named as unavailable; where there are no others it is 404.",
    scope: "read",
    request: {
      param: () => z.object({ entity_type: entityType, entity_value: entityValue }),
      query: consistencyQuery,
    },
    requestHeaders: { [TOKEN_HEADER]: "Of an earlier write: the answer is never older than it." },
    answers: { 200: { description: "Its categories with their features.", schema: itemsSchema } },
    problems: [404],
  },
  async (c, { param, query }) => {
    await assertKnownEntityType(c, param.entity_type, ["path", "entity_type"]);
    const ref = { entityType: param.entity_type, entityValue: param.entity_value };
    const { read, found } = await readFound(readContext(c, query.consistency), ref, "all");
    const text = itemsAnswer(ref, null, found, read);
    if (text === null) throw new Problem(404, "nothing is known of this entity any more, or ever was");
    return jsonTextAnswer(text);
  },
);

export const entityEndpoints = [getEntity];
