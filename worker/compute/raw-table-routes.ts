/** Raw tables: routes of system C. */
import * as z from "zod";
import { Problem, unprocessable } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { endpoint } from "../http/endpoint.ts";
import { textUpTo } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import {
  MAX_DESCRIPTION_CHARACTERS,
  MAX_RAW_ROWS,
  MAX_RAW_TABLE_BYTES,
  MAX_RAW_TABLES_PER_TENANT,
} from "../limits.ts";
import { assertSame } from "../registry/same-definition.ts";
import { registeredName } from "../registry/versions.ts";
import { nowMicros } from "../timestamps.ts";
import { existingTable, noSuchTable } from "./existing-table.ts";
import type { Columns, RawSchema } from "./raw-columns.ts";
import { rawTableObject } from "./raw-table-access.ts";
import {
  countedSchema,
  rawTableSchema,
  retentionDays,
  schemaDefinition,
  tableAnswer,
  tableInPath,
} from "./raw-table-schemas.ts";
import { featuresOfTable, insertRawTable, removeRawTable, selectRawTables } from "./registered-tables.ts";
import { assertHasTimes, changeRetention } from "./retention-route.ts";

const registerRawTable = endpoint(
  {
    method: "post",
    path: "/api/v1/raw-tables",
    tag: "raw tables",
    summary: "Register a raw table",
    scope: "write",
    request: {
      json: () =>
        z.object({
          name: registeredName.meta({ example: "user_transactions" }),
          description: textUpTo(MAX_DESCRIPTION_CHARACTERS)
            .nullish()
            .meta({ example: "User transaction data" }),
          schema_definition: schemaDefinition,
          timestamp_column: z
            .string()
            .nullish()
            .meta({ description: "The `timestamp` column that says when a row became true." }),
          retention_days: retentionDays.optional(),
        }),
    },
    answers: {
      201: { description: "Registered.", schema: rawTableSchema },
      200: { description: "It was there before, the same.", schema: rawTableSchema },
    },
    problems: [409],
  },
  async (c, { json }) => {
    const timestampColumn = json.timestamp_column ?? null;
    const type = json.schema_definition.find(([name]) => name === timestampColumn)?.[1];
    if (timestampColumn !== null && type !== "timestamp") {
      throw unprocessable({
        loc: ["body", "timestamp_column"],
        msg: "must be a column of type timestamp",
        type: "invalid",
      });
    }
    assertHasTimes(timestampColumn, json.retention_days ?? null);
    const table = {
      name: json.name,
      description: json.description ?? null,
      schema: { columns: json.schema_definition, timestampColumn },
      retentionDays: json.retention_days ?? null,
    };
    const inserted = await insertRawTable(c.env.DB, c.principal.tenant, table, nowMicros());
    if (inserted === "too many")
      throw new Problem(409, `a tenant may have ${MAX_RAW_TABLES_PER_TENANT} raw tables`);
    if ("added" in inserted) return jsonAnswer(tableAnswer(inserted.added), 201);
    const { namesake } = inserted;
    assertSame("there is a raw table of this name already", [
      [
        "schema_definition",
        columnsText(withoutUnnamed(namesake.schema, table.schema)),
        columnsText(json.schema_definition),
      ],
      ["timestamp_column", namesake.schema.timestampColumn, timestampColumn],
      // Where nothing is said of it: it may have been changed since.
      [
        "retention_days",
        namesake.retentionDays,
        json.retention_days === undefined ? namesake.retentionDays : json.retention_days,
      ],
      ["description", namesake.description, table.description],
    ]);
    return jsonAnswer(tableAnswer(namesake), 200);
  },
);

/** Who registers a table again as it was first need not know what was added since. */
const withoutUnnamed = (there: RawSchema, asked: RawSchema) =>
  there.columns.filter(([name, , presence]) => !presence || asked.columns.some(([own]) => own === name));

/** Rows name their columns: in which order they were registered makes no difference. */
const columnsText = (columns: Columns) => JSON.stringify(columns.map(([name, type]) => [name, type]).sort());

const listTables = endpoint(
  {
    method: "get",
    path: "/api/v1/raw-tables",
    tag: "raw tables",
    summary: "List raw tables",
    scope: "read",
    request: {},
    answers: {
      200: {
        description: "All of the tenant.",
        schema: lazily(() =>
          z.object({ raw_tables: z.array(rawTableSchema()) }).meta({ id: "RawTableList" }),
        ),
      },
    },
  },
  async (c) => {
    const rows = await selectRawTables(c.env.DB, c.principal.tenant);
    return jsonAnswer({ raw_tables: rows.map(tableAnswer) });
  },
);

const getTable = endpoint(
  {
    method: "get",
    path: "/api/v1/raw-tables/{table_id}",
    tag: "raw tables",
    summary: "A raw table with its size",
    scope: "read",
    request: { param: tableInPath },
    answers: { 200: { description: "The table.", schema: countedSchema } },
    problems: [404],
  },
  async (c, { param }) => {
    const row = await existingTable(c, param.table_id);
    const { rows, bytes } = await rawTableObject(c.env, c.principal.tenant, row).numbers();
    const sizes = {
      row_count: rows,
      size_bytes: bytes,
      max_rows: MAX_RAW_ROWS,
      max_bytes: MAX_RAW_TABLE_BYTES,
    };
    return jsonAnswer({ ...tableAnswer(row), ...sizes });
  },
);

const deleteTable = endpoint(
  {
    method: "delete",
    path: "/api/v1/raw-tables/{table_id}",
    tag: "raw tables",
    summary: "Drop a raw table with its rows",
    scope: "write",
    request: { param: tableInPath },
    answers: {
      200: {
        description: "It is gone.",
        schema: lazily(() =>
          z
            .object({ id: z.int().meta({ example: 1 }), row_count: z.int().meta({ example: 3 }) })
            .meta({ id: "RawTableDropped" }),
        ),
      },
    },
    problems: [404, 409],
  },
  async (c, { param }) => {
    const { tenant } = c.principal;
    const table = await existingTable(c, param.table_id);
    const { tableId } = table;
    const object = rawTableObject(c.env, tenant, table);
    const { rows } = await object.numbers();
    // Should this be the last that the object hears, it finds out by itself.
    await object.expectChange({ tenant, tableId }, "deletion");
    // The registry first: rows without an entry can be reached by nobody, an entry without rows could.
    if (!(await removeRawTable(c.env.DB, tenant, tableId))) {
      const dependent = await featuresOfTable(c.env.DB, tenant, tableId);
      if (dependent.length === 0) throw noSuchTable();
      throw new Problem(409, `features are computed from it: ${dependent.slice(0, 10).join(", ")}`);
    }
    const dropped = await object.drop().catch((cause: unknown) => {
      c.log.warning("a dropped table was not told", { request_id: c.requestId }, cause);
    });
    // Rows may have come meanwhile; or it has found out by itself, and has none any more.
    return jsonAnswer({ id: tableId, row_count: Math.max(rows, dropped ?? 0) });
  },
);

export const rawTableEndpoints = [registerRawTable, listTables, getTable, changeRetention, deleteTable];
