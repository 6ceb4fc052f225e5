/** How long a raw table keeps its rows is changed. */
import * as z from "zod";
import { unprocessable } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { endpoint } from "../http/endpoint.ts";
import { elsewhere } from "../http/fields.ts";
import { existingTable, noSuchTable } from "./existing-table.ts";
import { rawTableObject } from "./raw-table-access.ts";
import { rawTableSchema, retentionDays, tableAnswer, tableInPath } from "./raw-table-schemas.ts";
import { changeRawTable } from "./registered-tables.ts";

const asRegistered = elsewhere("stays as it was registered: only `retention_days` is changed");

export const changeRetention = endpoint(
  {
    method: "patch",
    path: "/api/v1/raw-tables/{table_id}",
    tag: "raw tables",
    summary: "Change how long a raw table keeps its rows",
    description:
      "Older rows are removed within two minutes, and as soon as an ingest has no room. No vector is recomputed for that.",
    scope: "write",
    request: {
      param: tableInPath,
      json: () =>
        z.object({
          retention_days: retentionDays.meta({ example: 90 }),
          name: asRegistered,
          description: asRegistered,
          schema_definition: elsewhere("columns are added by `POST /raw-tables/{table_id}/columns`"),
          timestamp_column: asRegistered,
        }),
    },
    answers: { 200: { description: "Changed.", schema: rawTableSchema } },
    problems: [404],
  },
  async (c, { param, json }) => {
    const registered = await existingTable(c, param.table_id);
    assertHasTimes(registered.schema.timestampColumn, json.retention_days);
    const table = { tenant: c.principal.tenant, tableId: registered.tableId };
    const object = rawTableObject(c.env, table.tenant, registered);
    // Should this be the last that the object hears, it finds out by itself.
    await object.retentionChanges(table);
    const changed = await changeRawTable(c.env.DB, table, { retentionDays: json.retention_days });
    // Once this is answered, no row goes by what was set before; so who is not told that, asks again.
    await object.retentionChanges(table);
    if (!changed) throw noSuchTable();
    return jsonAnswer(tableAnswer(changed));
  },
);

/** @throws Problem 422 where rows are to be kept for some time, and have none. */
export function assertHasTimes(timestampColumn: string | null, days: number | null): void {
  if (days === null || timestampColumn !== null) return;
  throw unprocessable({
    loc: ["body", "retention_days"],
    msg: "needs a `timestamp_column`, which says how old a row is",
    type: "invalid",
  });
}
