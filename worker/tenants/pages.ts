/** Pages of the administration's lists. */
import * as z from "zod";
import { wholeNumber } from "../http/fields.ts";
import { DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS } from "../limits.ts";

export const ADMINISTRATION = "administration";
/** The answer holds a key, or who has which: not for any cache on the way. */
export const PRIVATE = { "cache-control": "no-store" };

export const pageQuery = z.object({
  limit: wholeNumber(1, MAX_PAGE_ROWS).default(DEFAULT_PAGE_ROWS),
  cursor: z.string().optional().meta({ description: "`next_cursor` of the page before." }),
});
export const nextCursor = z
  .string()
  .nullable()
  .meta({ description: "Null on the last page.", example: null });

export const answeredTenantId = z.string().meta({ example: "acme" });

/** @param found One row more than the page has, when there are more. */
export function pageOf<R>(found: R[], limit: number): { rows: R[]; last: R | undefined } {
  const rows = found.slice(0, limit);
  return { rows, last: found.length > limit ? rows.at(-1) : undefined };
}
