/** The rows of a raw table: looking at them, and erasing those of somebody. */
import * as z from "zod";
import { unavailable, unprocessable } from "../errors.ts";
import { jsonAnswer, jsonTextAnswer } from "../http/answer.ts";
import { endpoint } from "../http/endpoint.ts";
import { idIn, nextCursor, pageQuery } from "../http/pages.ts";
import { lazily } from "../lazily.ts";
import { MAX_PAGE_ROWS, MAX_ROWS_PAGE_BYTES } from "../limits.ts";
import { RETRY_AFTER_SECONDS } from "../timings.ts";
import { existingTable } from "./existing-table.ts";
import type { RawSchema } from "./raw-columns.ts";
import { rawTableObject } from "./raw-table-access.ts";
import { tableInPath } from "./raw-table-schemas.ts";
import { entityKeysOf } from "./registered-tables.ts";
import { answeredValue, type RowChoice, rowChoice } from "./row-choice.ts";

const column = z.string().meta({ description: "A column of type string or integer.", example: "user_id" });
const value = z.string().meta({
  description: "Exactly the value that the rows have there; an integer in digits.",
  example: "user_001",
});

const listRows = endpoint(
  {
    method: "get",
    path: "/api/v1/raw-tables/{table_id}/rows",
    tag: "raw tables",
    summary: "Rows of a raw table",
    description: `In the order in which they arrived, with their values as they were ingested. A page ends early where its texts have ${MAX_ROWS_PAGE_BYTES} bytes. Without an index the whole table is looked through for rows of a value.`,
    scope: "read",
    request: {
      param: tableInPath,
      query: () => pageQuery().extend({ column: column.optional(), value: value.optional() }),
    },
    answers: {
      200: {
        description: `A page of rows, ${MAX_PAGE_ROWS} at most.`,
        schema: lazily(() =>
          z
            .object({
              rows: z
                .array(z.record(z.string(), z.unknown()))
                .meta({ example: [{ user_id: "user_001", transaction_amount: 150.5 }] }),
              next_cursor: nextCursor,
            })
            .meta({ id: "RawRows" }),
        ),
      },
    },
    problems: [404],
  },
  async (c, { param, query }) => {
    const after = Number(idIn(query.cursor, /^\d{1,15}$/) ?? 0);
    const table = await existingTable(c, param.table_id);
    const choice = choiceIn(table.schema, query);
    const object = rawTableObject(c.env, c.principal.tenant, table);
    const { texts, next } = await object.rows({ schema: table.schema, choice, after, limit: query.limit });
    const cursor = next === null ? "null" : `"${next}"`;
    return jsonTextAnswer(`{"rows":[${texts.join(",")}],"next_cursor":${cursor}}`);
  },
);

type Named = Partial<Record<"column" | "value", string | undefined>>;

/** @throws Problem 422 where one of both is missing, or no row can be named so. */
function choiceIn(schema: RawSchema, query: Named): RowChoice | null {
  const { column, value } = query;
  if (column !== undefined && value !== undefined) return rowChoice(schema, column, value);
  if (column === undefined && value === undefined) return null;
  const [missing, given] = column === undefined ? ["column", "value"] : ["value", "column"];
  throw unprocessable({ loc: ["query", missing], msg: `is needed with \`${given}\``, type: "missing" });
}

const eraseRows = endpoint(
  {
    method: "delete",
    path: "/api/v1/raw-tables/{table_id}/rows",
    tag: "raw tables",
    summary: "Erase the rows that have a value in a column",
    description:
      "All rows that are there when it is asked, and what jobs have still to write of the table; the same request again does no harm, and goes on where one has broken off, or was answered 503: then rows are gone, and computations of them were not yet known to be written. A computation from before it is refused with 409 once rows are gone, or its job ends as `failed` and is computed again from what is left. Vectors that were written before stay until their entity is deleted (`DELETE /entities/{type}/{value}`), or computed again from rows that it still has.",
    scope: "write",
    request: { param: tableInPath, query: () => z.object({ column, value }) },
    answers: {
      200: {
        description: "They are gone; also when there was none.",
        schema: lazily(() =>
          z
            .object({
              id: z.int().meta({ example: 1 }),
              column: z.string().meta({ example: "user_id" }),
              // An integer of a row may be one beyond 2^53.
              value: z.unknown().meta({
                override: { type: ["integer", "string"] },
                example: "user_001",
              }),
              rows_removed: z.int().meta({ description: "By this request.", example: 2 }),
              row_count: z.int().meta({ description: "Rows in the table now.", example: 0 }),
            })
            .meta({ id: "RawRowsErased" }),
        ),
      },
    },
    problems: [404],
  },
  async (c, { param, query }) => {
    const table = await existingTable(c, param.table_id);
    const choice = rowChoice(table.schema, query.column, query.value);
    const object = rawTableObject(c.env, c.principal.tenant, table);
    const entityKeys = await entityKeysOf(c.env.DB, c.principal.tenant, table.tableId);
    const { removed, rows, isSettled } = await object.erase(table.schema, { choice, entityKeys });
    if (!isSettled) {
      const detail = `${removed} rows were removed, and what was computed of them before may still be written: erase them again`;
      throw unavailable(detail, RETRY_AFTER_SECONDS);
    }
    return jsonAnswer({
      id: table.tableId,
      column: choice.column,
      value: answeredValue(choice),
      rows_removed: removed,
      row_count: rows,
    });
  },
);

export const rawRowEndpoints = [listRows, eraseRows];
