/** Columns are added to a raw table that is in use. */
import * as z from "zod";
import { Problem } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import type { AppContext } from "../http/context.ts";
import { endpoint } from "../http/endpoint.ts";
import { elsewhere } from "../http/fields.ts";
import { STATEMENTS_PER_CALL_CHARACTERS } from "../limits.ts";
import { partsUpTo } from "../parts.ts";
import { selectRegistryStamp } from "../registry/registry-store.ts";
import { addedColumns } from "./added-columns.ts";
import { existingTable } from "./existing-table.ts";
import type { Column, Columns } from "./raw-columns.ts";
import { rawTableObject } from "./raw-table-access.ts";
import { columnList, rawTableSchema, tableAnswer, tableInPath } from "./raw-table-schemas.ts";
import { changeRawTable, entityKeysOf, type RegisteredTable, statementsWith } from "./registered-tables.ts";

const addColumns = endpoint(
  {
    method: "post",
    path: "/api/v1/raw-tables/{table_id}/columns",
    tag: "raw tables",
    summary: "Add columns to a raw table",
    description:
      "Rows may lack them: those that were ingested before have null there, as have all that come without them. Whatever begins after the answer knows them. A column that is there already, with the same type, is left as it is; with another type all is refused with 409, and so it is where the SQL of a feature would fail, or mean something else.",
    scope: "write",
    request: {
      param: tableInPath,
      json: () =>
        z.object({
          columns: columnList(),
          schema_definition: elsewhere("is `columns` here, a list of those that are added"),
        }),
    },
    answers: {
      201: { description: "Added.", schema: rawTableSchema },
      200: { description: "They were there before, the same.", schema: rawTableSchema },
    },
    problems: [404, 409],
  },
  async (c, { param, json }) => {
    const { tenant } = c.principal;
    for (;;) {
      const table = await existingTable(c, param.table_id);
      const registered = table.schema.columns;
      const there = await rawTableObject(c.env, tenant, table).columns();
      const ofRows = there.map(({ name, type }): Column => [name, type]);
      const added = addedColumns({ registered, ofRows }, json.columns);
      if (added.length === 0) return jsonAnswer(tableAnswer(table), 200);
      const columns = [...registered, ...added];
      const registryStamp = await selectRegistryStamp(c.env.DB, tenant);
      await assertKeepsMeaning(c, table, columns);
      // Its rows gain them with the first request that brings them, so that no crash leaves the two apart.
      const of = { tenant, tableId: table.tableId };
      const changed = await changeRawTable(c.env.DB, of, { columns }, { columns: registered, registryStamp });
      if (changed) return jsonAnswer(tableAnswer(changed), 201);
      // Others were added meanwhile, or a feature was registered, which may be of this table; or the table is gone.
    }
  },
);

const OF_ALL_COLUMNS = ["*", "natural"];

/**
 * @throws Problem 409 where the SQL of features would fail with these columns, or mean something else, or where one has the
 * name of an entity key, by which the rows of an entity would be found from then on.
 */
async function assertKeepsMeaning(c: AppContext, table: RegisteredTable, after: Columns): Promise<void> {
  const { tenant } = c.principal;
  const { schema, tableId } = table;
  const before = schema.columns;
  const added = after.slice(before.length).map(([name]) => name);
  const keys = await entityKeysOf(c.env.DB, tenant, tableId);
  const key = added.find((name) => keys.includes(name));
  if (key !== undefined)
    throw new Problem(
      409,
      `\`${key}\` is the entity key of features that make it in their SQL; nothing was added`,
    );
  const names = added.map((name) => name.toLowerCase());
  const found = await statementsWith(c.env.DB, { tenant, tableId }, [...names, ...OF_ALL_COLUMNS]);
  const object = rawTableObject(c.env, tenant, table);
  const parts = partsUpTo(found, ({ statement }) => statement.length, STATEMENTS_PER_CALL_CHARACTERS);
  for (const { items } of parts) {
    const changed = await object.changedBy(
      { before: [...before], after: [...after] },
      items.map(({ statement }) => statement),
    );
    const versions = changed.flatMap((i) => items[i]?.of ?? []);
    if (versions.length === 0) continue;
    const detail = `the SQL of features would fail with these columns, or mean something else: ${versions.slice(0, 10).join(", ")}`;
    throw new Problem(409, `${detail}; nothing was added`);
  }
}

export const columnEndpoints = [addColumns];
