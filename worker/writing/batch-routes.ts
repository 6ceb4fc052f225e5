/** Writing many entities in one request. */
import * as z from "zod";
import { assert } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { requestContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { isKnownEntityType } from "../http/entity-type.ts";
import { answeredRevision, answeredTimestamp } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { MAX_ENTITIES_PER_REQUEST } from "../limits.ts";
import { type Catalog, catalogOf } from "../registry/catalog.ts";
import { describeFault } from "../registry/enforce-types.ts";
import type { ChangeResult, EntityWrite } from "./entity-write.ts";
import { type Reason, reasonOf } from "./rejections.ts";
import { submitRequest, writeAnswerHeaders, writeRequestHeaders } from "./submit-request.ts";
import { typedWrite, type UntypedWrite } from "./typed-write.ts";
import { batchBody, toEntityWrite, writeQuery, writingMetadata } from "./write-body.ts";

const rowResult = lazily(() =>
  z.object({
    entity_type: z.string(),
    entity_value: z.string(),
    outcome: z.enum(["applied", "stale", "duplicate", "rejected"]),
    revision: answeredRevision.nullable(),
    categories_updated: z.array(z.string()),
    reason: z
      .object({ type: z.string(), detail: z.string() })
      .optional()
      .meta({ description: "Why a row was rejected." }),
  }),
);

const batchSchema = lazily(() =>
  z.object({ results: z.array(rowResult()), timestamp: answeredTimestamp }).meta({ id: "BatchWritten" }),
);

export const putItemsBatch = endpoint(
  {
    method: "post",
    path: "/api/v1/items/batch",
    tag: "items",
    summary: "Write many entities",
    description: `Up to ${MAX_ENTITIES_PER_REQUEST} rows, each applied whole or not at all, with one result per row in the order of the request. The same entity may come several times.`,
    scope: "write",
    request: { query: writeQuery, json: batchBody },
    requestHeaders: writeRequestHeaders,
    answers: {
      200: { description: "One result per row.", schema: batchSchema, headers: writeAnswerHeaders },
    },
  },
  async (c, { json }) => {
    const metadata = writingMetadata(json);
    const catalog = await catalogOf(requestContext(c));
    const rows = json.data.map((row) => typedRow(catalog, toEntityWrite(row, metadata)));
    const writes = rows.flatMap((row) => (row.ok ? row.write : []));
    const { results, timestamp, headers } = await submitRequest(c, writes);
    const remaining = results.values();
    const answers = json.data.map((body, i) => {
      const row = rows[i];
      const entity = { entity_type: body.entity_type, entity_value: body.entity_value };
      return { ...entity, ...(row?.ok ? outcomeOf(remaining.next().value) : refusedRow(row?.reason)) };
    });
    return jsonAnswer({ results: answers, timestamp }, 200, headers);
  },
);

function typedRow(
  catalog: Catalog,
  asked: UntypedWrite,
): { ok: true; write: EntityWrite } | { ok: false; reason: Reason } {
  if (!isKnownEntityType(asked.entityType, catalog)) {
    return {
      ok: false,
      reason: { type: "unknown_entity_type", detail: "entity_type: is not a known entity type" },
    };
  }
  const typed = typedWrite(catalog, asked);
  return typed.ok
    ? typed
    : { ok: false, reason: { type: typed.fault.reason, detail: describeFault(typed.fault) } };
}

function outcomeOf(result: ChangeResult | undefined) {
  assert(result, "every write has a result");
  const { outcome: became, revision } = result;
  const reason = result.outcome === "rejected" ? reasonOf(result.rejection) : undefined;
  const updated = result.outcome === "applied" ? result.categories : [];
  return { outcome: became, revision, categories_updated: updated, ...(reason && { reason }) };
}

function refusedRow(reason: Reason | undefined) {
  return { outcome: "rejected", revision: null, categories_updated: [], reason };
}
