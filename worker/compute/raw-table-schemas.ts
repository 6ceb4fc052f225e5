/** Raw tables as they are registered and answered. */
import * as z from "zod";
import { answeredTimestamp, digitsInAddress } from "../http/fields.ts";
import { isJsonObject } from "../json.ts";
import { lazily } from "../lazily.ts";
import { MAX_COLUMN_NAME_CHARACTERS, MAX_RAW_COLUMNS, MAX_RETENTION_DAYS } from "../limits.ts";
import { registeredName } from "../registry/versions.ts";
import { formatTimestamp } from "../timestamps.ts";
import { COLUMN_NAME, COLUMN_TYPES, type Column, columnType } from "./raw-columns.ts";
import type { RegisteredTable } from "./registered-tables.ts";
import { RESERVED_NAME } from "./sql/words.ts";

type Fail = (message: string, path?: (string | number)[]) => never;

/**
 * @param entries Names, and types as they are written.
 * @param placeOf Where a fault of the name, or of the type, of one of them is.
 */
function columnsOf(
  entries: [name: string, written: unknown][],
  fail: Fail,
  placeOf: (i: number, part: "name" | "type") => (string | number)[],
): Column[] {
  const seen = new Set<string>();
  return entries.map(([name, written], i): Column => {
    const type = typeof written === "string" ? columnType(written) : null;
    if (
      !COLUMN_NAME.test(name) ||
      name.length > MAX_COLUMN_NAME_CHARACTERS ||
      RESERVED_NAME.test(name.toLowerCase()) ||
      /^(rowid|oid|_rowid_)$/i.test(name)
    ) {
      return fail(
        `a column's name must be letters, digits and \`_\`, at most ${MAX_COLUMN_NAME_CHARACTERS}, and not a reserved one`,
        placeOf(i, "name"),
      );
    }
    // SQLite takes names that differ in case for the same.
    if (seen.has(name.toLowerCase()))
      return fail("is another column's name, or differs from it only in case", placeOf(i, "name"));
    seen.add(name.toLowerCase());
    return type ? [name, type] : fail(`must be one of ${COLUMN_TYPES.join(", ")}`, placeOf(i, "type"));
  });
}

const failIn =
  (ctx: z.RefinementCtx): Fail =>
  (message, path = []) => {
    ctx.addIssue({ code: "custom", message, path });
    return z.NEVER;
  };

/** Column → type, as entries in their order. */
export const schemaDefinition = z
  .unknown()
  .transform((definition, ctx): Column[] => {
    const fail = failIn(ctx);
    // Not checked as a record, which would drop a column called `__proto__`.
    if (!isJsonObject(definition)) return fail("must be an object of columns and their types");
    const entries = Object.entries(definition);
    if (entries.length === 0) return fail("must name at least one column");
    if (entries.length > MAX_RAW_COLUMNS) return fail(`must name at most ${MAX_RAW_COLUMNS} columns`);
    return columnsOf(entries, fail, (i) => [(entries[i]?.[0] ?? "").slice(0, 100)]);
  })
  .meta({
    override: { type: "object", additionalProperties: { type: "string" } },
    description: `Column → ${COLUMN_TYPES.join(", ")}.`,
    example: { user_id: "string", transaction_amount: "float", transaction_date: "string" },
  });

/** Columns in a list, which one must be. */
export const columnList = lazily(() =>
  z
    .array(
      z.object({
        name: z.string().meta({ example: "coupon" }),
        type: z.string().meta({ description: `One of ${COLUMN_TYPES.join(", ")}.`, example: "string" }),
      }),
    )
    .min(1)
    .max(MAX_RAW_COLUMNS)
    .transform((columns, ctx) =>
      columnsOf(
        columns.map(({ name, type }) => [name, type]),
        failIn(ctx),
        (i, part) => [i, part],
      ),
    ),
);

export const retentionDays = z.number().positive().max(MAX_RETENTION_DAYS).nullable().meta({
  description:
    "After so many days since the time in their `timestamp_column` rows are removed; a fraction is fine. Null: they stay.",
});

const MUST_BE_TABLE = "must be the id or the name of a raw table";

/** An id differs between deployments, a name need not. */
export const rawTableReference = z
  .union([z.int(MUST_BE_TABLE).min(1, MUST_BE_TABLE), registeredName], MUST_BE_TABLE)
  .meta({ override: { type: ["integer", "string"] }, description: "Its id, or its name.", example: 1 });

/** The table of an address. */
export const tableInPath = lazily(() =>
  z.object({
    table_id: z.preprocess(digitsInAddress, rawTableReference).meta({
      override: { type: ["integer", "string"] },
      description: "Its id, or its name.",
      example: 1,
    }),
  }),
);

export const rawTableSchema = lazily(() =>
  z
    .object({
      id: z.int().meta({ example: 1 }),
      name: z.string().meta({ example: "user_transactions" }),
      description: z.string().nullable(),
      schema_definition: z
        .record(z.string(), z.string())
        .meta({ example: { user_id: "string", transaction_amount: "float" } }),
      optional_columns: z.array(z.string()).meta({
        description: "Those that were added later: rows may lack them.",
        example: [],
      }),
      timestamp_column: z.string().nullable(),
      retention_days: z
        .number()
        .nullable()
        .meta({ description: "Older rows are removed. Null: they stay.", example: 90 }),
      created_at: answeredTimestamp,
    })
    .meta({ id: "RawTable" }),
);

export const countedSchema = lazily(() =>
  rawTableSchema()
    .extend({
      row_count: z.int().meta({ example: 3 }),
      size_bytes: z.int().meta({ example: 40960 }),
      max_rows: z.int(),
      max_bytes: z.int(),
    })
    .meta({ id: "RawTableWithCounts" }),
);

export function tableAnswer(table: RegisteredTable) {
  const { tableId, name, description, schema, retentionDays, createdAt } = table;
  return {
    id: tableId,
    name,
    description,
    schema_definition: Object.fromEntries(schema.columns.map(([column, type]) => [column, type])),
    optional_columns: schema.columns.flatMap(([column, , presence]) => (presence ? [column] : [])),
    timestamp_column: schema.timestampColumn,
    retention_days: retentionDays,
    created_at: formatTimestamp(createdAt),
  };
}
