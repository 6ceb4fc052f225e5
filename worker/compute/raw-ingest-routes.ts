/** Ingesting rows into a raw table: a route of system C. */
import * as z from "zod";
import { jsonParts } from "../db/json-parts.ts";
import { Problem } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { requestContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { lazily } from "../lazily.ts";
import { MAX_INGEST_ROWS } from "../limits.ts";
import { claimIdempotencyKey, keyReused } from "../writing/submit-changes.ts";
import { idempotencyOf, REPLAYED, replayedHeader, writeRequestHeaders } from "../writing/submit-request.ts";
import { askToCompute } from "./ask-to-compute.ts";
import { existingTable, noSuchTable } from "./existing-table.ts";
import { followerOf } from "./follower-store.ts";
import { checkRows } from "./raw-columns.ts";
import type { RawTable } from "./raw-table.ts";
import { rawTableObject } from "./raw-table-access.ts";
import { rawTableReference } from "./raw-table-schemas.ts";
import { streamingVersions } from "./registered-tables.ts";

const ingest = endpoint(
  {
    method: "post",
    path: "/api/v1/ingest",
    tag: "raw tables",
    summary: "Ingest rows into a raw table",
    description: `Up to ${MAX_INGEST_ROWS} rows, all of them or none. Features that are materialized on ingest are recomputed for the entities touched.`,
    scope: "write",
    request: {
      json: () =>
        z.object({
          raw_table_id: rawTableReference,
          data: z
            .array(z.unknown())
            .min(1)
            .max(MAX_INGEST_ROWS)
            .meta({
              example: [{ user_id: "user_001", transaction_amount: 150.5, transaction_date: "2024-01-15" }],
            }),
        }),
    },
    requestHeaders: writeRequestHeaders,
    answers: {
      200: {
        description: "Kept.",
        schema: lazily(() =>
          z
            .object({
              raw_table_id: z.int().meta({ example: 1 }),
              rows_ingested: z.int().meta({ example: 1 }),
              row_count: z.int().meta({ description: "Rows in the table now.", example: 1 }),
            })
            .meta({ id: "Ingested" }),
        ),
        headers: replayedHeader,
      },
    },
    problems: [404, 409],
  },
  async (c, { json }) => {
    const { tenant } = c.principal;
    const table = await existingTable(c, json.raw_table_id);
    const { tableId, schema, retentionDays } = table;
    const checked = checkRows(schema, json.data, ["body", "data"]);
    if (!checked.ok) {
      throw new Problem(400, "rows do not fit their table; nothing was kept", { errors: checked.faults });
    }
    const idempotency = await idempotencyOf(c);
    // The table remembers the answer; that the key is of this request alone is known to the tenant's writers.
    if (idempotency) await claimIdempotencyKey(requestContext(c), idempotency);
    const followers = await streamingVersions(c.env.DB, tenant, tableId);
    const reply = await rawTableObject(c.env, tenant, table).ingest({
      schema,
      parts: jsonParts(checked.rows),
      count: checked.rows.length,
      longestText: checked.longestText,
      followers: followers.map(followerOf),
      isRetained: retentionDays !== null,
      table: { tenant, tableId },
      idempotency,
    });
    const kept = accepted(reply);
    const message = { kind: "ingest", tenant_id: tenant, table_id: tableId } as const;
    if (followers.length > 0 && !kept.replayed) c.after(askToCompute(c, message));
    const answer = { raw_table_id: tableId, rows_ingested: kept.rows, row_count: kept.total };
    return jsonAnswer(answer, 200, kept.replayed ? REPLAYED : {});
  },
);

type RawTableReply = Awaited<ReturnType<RawTable["ingest"]>>;

/** @throws Problem 404, 409 or 422 when nothing was kept. */
function accepted(reply: RawTableReply): Extract<RawTableReply, { kind: "ingested" }> {
  switch (reply.kind) {
    case "dropped":
      throw noSuchTable();
    case "key_reused":
      throw keyReused();
    case "full": {
      const detail = `the raw table is full: it may have ${reply.most} ${reply.limit} and has ${reply.there}`;
      throw new Problem(409, `${detail}; nothing was kept`);
    }
    case "ingested":
      return reply;
  }
}

export const ingestEndpoints = [ingest];
