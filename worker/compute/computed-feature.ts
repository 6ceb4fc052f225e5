/** Computed features: registering them and their versions, and finding the one that a request means. */
import * as z from "zod";
import type { Materialization } from "../db/column-values.ts";
import { Problem, unprocessable } from "../errors.ts";
import type { AppContext } from "../http/context.ts";
import type { RegisteredFeature, RegisteredVersion } from "../registry/registry-store.ts";
import { askedVersion, versionAt } from "../registry/versions.ts";
import { existingTable } from "./existing-table.ts";
import type { RawSchema } from "./raw-columns.ts";
import { rawTableObject } from "./raw-table-access.ts";
import type { Proof } from "./registered-tables.ts";
import { checkSql, describeSqlFault } from "./sql/gate.ts";
import { isColumnOfData } from "./sql/origin.ts";
import { describeOthersSeen } from "./sql/others-seen.ts";
import { whatSeesOthers } from "./sql/own-rows.ts";
import { faultOfColumns } from "./vectors.ts";

export const computationLogic = z.string().min(1).meta({
  description: "One SELECT over the table `data`, with the entity key among its columns.",
  example: "SELECT user_id, AVG(transaction_amount) as avg_amount FROM data GROUP BY user_id",
});

interface Computation {
  tableId: number;
  sql: string;
  entityKey: string;
  materialize: Materialization | null;
}

/**
 * Proves SQL against its raw table.
 *
 * @returns what it was proved with, which holds as long as the table gains no columns.
 * @throws Problem 404 for an unknown table, 422 when the gate refuses the SQL, it does not prepare, its result has no
 * entity key, or it cannot be recomputed as rows arrive and should be.
 */
export async function assertComputable(c: AppContext, computation: Computation): Promise<Proof> {
  const { tableId, sql, entityKey, materialize } = computation;
  const table = await existingTable(c, tableId);
  const { schema } = table;
  if (materialize === "on_ingest") assertKeyColumn(schema, entityKey);
  const checked = await rawTableObject(c.env, c.principal.tenant, table).check(schema, sql);
  const loc = ["body", "computation_logic"];
  if (!checked.ok) {
    const { fault } = checked;
    throw unprocessable({ loc, msg: describeSqlFault(fault), type: fault.reason });
  }
  const msg = faultOfColumns(checked.columns, entityKey);
  if (msg) throw unprocessable({ loc, msg, type: "invalid_result" });
  if (materialize === "on_ingest") assertOwnRows(schema, sql, entityKey);
  return { tableId, columns: schema.columns };
}

/**
 * Whether the table of a proof has gained columns since.
 *
 * @throws Problem 404 when it is gone.
 */
export async function isOutdated(c: AppContext, { tableId, columns }: Proof): Promise<boolean> {
  const { schema } = await existingTable(c, tableId);
  return schema.columns.length > columns.length;
}

/**
 * What new rows touch is read off their column of the entity key's name.
 *
 * @throws Problem 422 when the table has no such column, or one whose values have several spellings as text.
 */
function assertKeyColumn({ columns }: RawSchema, entityKey: string): void {
  const type = columns.find(([name]) => name === entityKey)?.[1];
  if (type === "string" || type === "integer" || type === "timestamp") return;
  const msg = `on_ingest needs a column \`${entityKey}\` of type string, integer or timestamp in the raw table`;
  throw unprocessable({ loc: ["body", "materialize"], msg, type: "not_streamable" });
}

/**
 * @throws Problem 422 when rows of the result may be of other entities than those in the column, or depend on rows of
 * others: they would depend on which entities were touched together.
 */
function assertOwnRows({ columns }: RawSchema, sql: string, entityKey: string): void {
  const checked = checkSql(sql);
  const names = columns.map(([name]) => name);
  const refuse = (msg: string) =>
    unprocessable({ loc: ["body", "computation_logic"], msg, type: "not_streamable" });
  if (!checked.ok || !isColumnOfData(checked.shape, entityKey, names))
    throw refuse(
      `with on_ingest, which recomputes the entities that new rows name in their column \`${entityKey}\`, the result's ` +
        `\`${entityKey}\` must be that column, unchanged, and in every GROUP BY; select the column itself, or use manual`,
    );
  const seen = whatSeesOthers(checked.shape, entityKey, names);
  if (seen)
    throw refuse(
      `with on_ingest, which computes an entity from its own rows alone, the SQL may not look at other entities: ` +
        `${describeOthersSeen(seen, entityKey)}; such SQL can be computed on request ("materialize": "manual")`,
    );
}

export interface ComputableVersion {
  row: RegisteredVersion;
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
  if (feature.kind !== "computed") {
    throw unprocessable({ loc: ["path", "feature"], msg: "is not a computed feature", type: "not_computed" });
  }
  const number = asked === undefined ? undefined : versionAt(["query", "version"], asked);
  const row = askedVersion(feature.versions, number);
  if (!row || row.computationLogic === null) {
    throw new Problem(404, "the feature has no such version; POST …/versions adds one");
  }
  return { row, sql: row.computationLogic, tableId: feature.rawTableId, entityKey: feature.entityKey };
}
