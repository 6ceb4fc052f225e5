/**
 * Integers of a result beyond 2^53. The object's SQLite hands every number over as a double, so such a result is read
 * a second time, with its integers as digits. Pure.
 */
import { quoted } from "./raw-columns.ts";

/** Whether a cell may be an integer that has lost digits on its way. */
export function mayBeRounded(rows: readonly (readonly unknown[])[]): boolean {
  return rows.some((cells) =>
    cells.some((cell) => typeof cell === "number" && Number.isInteger(cell) && !Number.isSafeInteger(cell)),
  );
}

/**
 * The same result, its integers and texts as texts that say which they are.
 *
 * @param query Without comments and a trailing `;`.
 */
export function withDigits(query: string, columns: readonly string[]): string {
  const cells = columns.map((name) => {
    const cell = quoted(name);
    return `CASE typeof(${cell}) WHEN 'integer' THEN 'i' || ${cell} WHEN 'text' THEN 't' || ${cell} ELSE ${cell} END AS ${cell}`;
  });
  return `SELECT ${cells.join(", ")} FROM (${query}\n)`;
}

/** What {@link withDigits} has written: integers beyond 2^53 become bigints. */
export function readDigits(cell: unknown): unknown {
  if (typeof cell !== "string") return cell;
  const rest = cell.slice(1);
  if (cell.startsWith("t")) return rest;
  const number = Number(rest);
  return Number.isSafeInteger(number) ? number : BigInt(rest);
}
