/** Writing many entities in one request. */
import * as z from "zod";
import { assert } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { requestContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { answeredRevision, answeredTimestamp } from "../http/fields.ts";
import type { EntityRef } from "../keys.ts";
import { lazily } from "../lazily.ts";
import { MAX_ENTITIES_PER_REQUEST } from "../limits.ts";
import { type Catalog, catalogOf, isKnownEntityType, UNKNOWN_ENTITY_TYPE } from "../registry/catalog.ts";
import { describeFault } from "../registry/enforce-types.ts";
import type { Reason, RequestRow, RowResult } from "./entity-write.ts";
import { reasonOf } from "./rejections.ts";
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
    const { results, timestamp, headers } = await submitRequest(c, rows);
    const answers = json.data.map(({ entity_type, entity_value }, i) => {
      const result = results[i];
      assert(result, "every row has a result");
      return { entity_type, entity_value, ...outcomeOf(result) };
    });
    return jsonAnswer({ results: answers, timestamp }, 200, headers);
  },
);

function typedRow(catalog: Catalog, asked: UntypedWrite): RequestRow {
  if (!isKnownEntityType(asked.entityType, catalog)) {
    return refused(asked, { type: "unknown_entity_type", detail: `entity_type: ${UNKNOWN_ENTITY_TYPE}` });
  }
  const typed = typedWrite(catalog, asked);
  if (typed.ok) return typed.write;
  const { fault } = typed;
  return refused(asked, { type: fault.reason, detail: describeFault(fault) });
}

function refused({ entityType, entityValue }: EntityRef, reason: Reason): RequestRow {
  return { kind: "refused", entityType, entityValue, reason };
}

function outcomeOf(result: RowResult) {
  if (result.outcome === "refused") return refusedRow(result.reason);
  const { outcome: became, revision } = result;
  const reason = result.outcome === "rejected" ? reasonOf(result.rejection) : undefined;
  const updated = result.outcome === "applied" ? result.categories : [];
  return { outcome: became, revision, categories_updated: updated, ...(reason && { reason }) };
}

function refusedRow(reason: Reason) {
  return { outcome: "rejected", revision: null, categories_updated: [], reason };
}
