/** Computed features: registering them and their versions, and finding the one that a request means. */
import * as z from "zod";
import { Problem, unprocessable } from "../errors.ts";
import type { AppContext } from "../http/context.ts";
import type { RegisteredFeature, VersionRow } from "../registry/registry-store.ts";
import { parseVersion, VERSION_FORM } from "../registry/versions.ts";
import { schemaOf } from "./compute-store.ts";
import type { RawSchema } from "./raw-columns.ts";
import { rawTableObject } from "./raw-table-access.ts";
import { existingTable } from "./raw-table-routes.ts";
import { describeSqlFault } from "./sql-gate.ts";
import { faultOfColumns } from "./vectors.ts";

export const computationLogic = z.string().min(1).meta({
  description: "One SELECT over the table `data`, with the entity key among its columns.",
  example: "SELECT user_id, AVG(transaction_amount) as avg_amount FROM data GROUP BY user_id",
});

/**
 * Proves SQL against its raw table.
 *
 * @throws Problem 404 for an unknown table, 422 when the gate refuses the SQL, it does not prepare, or its result has
 * no entity key.
 */
export async function assertComputable(
  c: AppContext,
  { tableId, sql, entityKey }: { tableId: number; sql: string; entityKey: string },
): Promise<void> {
  const table = await existingTable(c, tableId);
  const checked = await rawTableObject(c.env, c.principal.tenant, table.tableId).check(schemaOf(table), sql);
  const loc = ["body", "computation_logic"];
  if (!checked.ok) {
    const { fault } = checked;
    throw unprocessable({ loc, msg: describeSqlFault(fault), type: fault.reason });
  }
  const msg = faultOfColumns(checked.columns, entityKey);
  if (msg) throw unprocessable({ loc, msg, type: "invalid_result" });
}

/**
 * What new rows touch is read off their column of the entity key's name.
 *
 * @throws Problem 422 when the table has no such column, or one whose values have several spellings as text.
 */
export function assertStreamable({ columns }: RawSchema, entityKey: string): void {
  const type = columns.find(([name]) => name === entityKey)?.[1];
  if (type === "string" || type === "integer" || type === "timestamp") return;
  const msg = `on_ingest needs a column \`${entityKey}\` of type string, integer or timestamp in the raw table`;
  throw unprocessable({ loc: ["body", "materialize"], msg, type: "not_streamable" });
}

export interface ComputableVersion {
  row: VersionRow;
  sql: string;
  tableId: number;
  entityKey: string;
}

/**
 * The version that a computation is of: the one asked for, else the newest active one, else the newest.
 *
 * @throws Problem 404 when there is none, 422 when the feature is not computed.
 */
export function computableVersion(feature: RegisteredFeature, asked: string | undefined): ComputableVersion {
  const { rawTableId: tableId, entityKey } = feature;
  if (feature.kind !== "computed" || tableId === null || entityKey === null) {
    throw unprocessable({ loc: ["path", "feature"], msg: "is not a computed feature", type: "not_computed" });
  }
  const number = asked === undefined ? null : parseVersion(asked);
  if (asked !== undefined && number === null) {
    throw unprocessable({
      loc: ["query", "version"],
      msg: `must be ${VERSION_FORM}`,
      type: "invalid",
    });
  }
  const row =
    number === null
      ? (feature.versions.findLast(({ status }) => status === "active") ?? feature.versions.at(-1))
      : feature.versions.find(({ version }) => version === number);
  if (!row || row.computationLogic === null) {
    throw new Problem(404, "the feature has no such version; POST …/versions adds one");
  }
  return { row, sql: row.computationLogic, tableId, entityKey };
}
