/** Pages of a list: how they are asked for, where one ended, and what the next one begins with. Pure. */
import * as z from "zod";
import { type Problem, unprocessable } from "../errors.ts";
import { lazily } from "../lazily.ts";
import { DEFAULT_PAGE_ROWS, MAX_PAGE_ROWS } from "../limits.ts";
import type { Micros } from "../timestamps.ts";
import { wholeNumber } from "./fields.ts";

export const pageQuery = lazily(() =>
  z.object({
    limit: wholeNumber(1, MAX_PAGE_ROWS)
      .default(DEFAULT_PAGE_ROWS)
      .meta({ override: { default: DEFAULT_PAGE_ROWS } }),
    cursor: z.string().optional().meta({ description: "`next_cursor` of the page before." }),
  }),
);
export const nextCursor = z
  .string()
  .nullable()
  .meta({ description: "Null on the last page.", example: null });

/** @param found At most `limit + 1` rows: the one beyond the page says that there are more. */
export function pageOf<R>(found: R[], limit: number): { rows: R[]; last: R | undefined } {
  const rows = found.slice(0, limit);
  return { rows, last: found.length > limit ? rows.at(-1) : undefined };
}

/** The last row of a page in the order of creation, from which the next one goes on. */
export interface Position {
  createdAt: Micros;
  id: string;
}

/** As the caller carries it: `<created_at in microseconds>-<id>`. */
export function formatPosition({ createdAt, id }: Position): string {
  return `${createdAt}-${id}`;
}

/**
 * @param ids What an id looks like, all of it.
 * @returns null for the first page.
 * @throws Problem 422 for a text that no page has answered.
 */
export function positionIn(cursor: string | undefined, ids: RegExp): Position | null {
  if (cursor === undefined) return null;
  const [, createdAt, id] = /^(\d{1,16})-(.+)$/.exec(cursor) ?? [];
  if (createdAt === undefined || id === undefined || !ids.test(id)) throw notACursor();
  return { createdAt: Number(createdAt), id };
}

/**
 * Of a list in the order of its ids: the last one of the page before.
 *
 * @param cursors What a cursor looks like, all of it; where it is more than the id, a group is the id.
 * @returns null for the first page.
 * @throws Problem 422 for a text that no page has answered.
 */
export function idIn(cursor: string | undefined, cursors: RegExp): string | null {
  if (cursor === undefined) return null;
  const id = cursors.exec(cursor)?.at(-1);
  if (id === undefined) throw notACursor();
  return id;
}

function notACursor(): Problem {
  return unprocessable({
    loc: ["query", "cursor"],
    msg: "must be the next_cursor of a page",
    type: "invalid",
  });
}
