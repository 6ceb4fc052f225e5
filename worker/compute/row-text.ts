/** Rows of a raw table as they were ingested: from what SQLite has of them to JSON. Pure. */
import { quoted, type RawSchema } from "./raw-columns.ts";

/** What a SELECT asks for, so that {@link rowText} can read it. Integers as digits: as numbers they would be doubles. */
export function cellsOf({ columns }: RawSchema): string {
  return columns
    .map(([name, type]) => (type === "integer" ? `CAST(${quoted(name)} AS TEXT)` : quoted(name)))
    .join(", ");
}

/** A row as the text of a JSON object, its columns in their order. Not made of an object, which has no `__proto__`. */
export function rowText({ columns }: RawSchema, cells: readonly SqlStorageValue[]): string {
  const members = columns.map(
    ([name, type], i) => `${JSON.stringify(name)}:${cellText(type, cells[i] ?? null)}`,
  );
  return `{${members.join(",")}}`;
}

function cellText(type: RawSchema["columns"][number][1], cell: SqlStorageValue): string {
  if (cell === null) return "null";
  // Both are JSON already.
  if (type === "integer" || type === "json") return String(cell);
  return JSON.stringify(type === "boolean" ? cell === 1 : cell);
}
