/**
 * Acknowledged rows are in their table exactly once, rows without an answer once or not at all with all of their
 * request, and features that are computed from them come to say what the rows say.
 */
import { isDeepStrictEqual } from "node:util";
import type { Finding, Ingest, Rule, TableHistory } from "./history.ts";

export function checkTables({ table, ingests, end }: TableHistory): Finding[] {
  const findings: Finding[] = [];
  const find = (rule: Rule, detail: string) => findings.push({ rule, entity: table, detail });
  const merged = [...Map.groupBy(ingests, ({ id }) => id).values()].map((tries) => mergeTries(tries, find));
  checkTotals(merged, find);
  checkRows(merged, end.rows, find);
  const count = Object.values(end.rows).flat().length;
  if (count !== end.rowCount) find("ingest", `it has ${count} rows and says ${end.rowCount}`);
  for (const entity of new Set([...Object.keys(end.rows), ...Object.keys(end.vectors)])) {
    const rows = [...(end.rows[entity] ?? [])].sort();
    const shown = [...(end.vectors[entity] ?? [])].sort();
    if (!isDeepStrictEqual(rows, shown))
      find("vector", `${entity}: the rows are ${rows}, the vector says ${shown}`);
  }
  for (const { id, status, computed, total, wrong } of end.jobs) {
    if (status === "done" && computed === total && wrong.length === 0) continue;
    find("job", `${id}: ${status}, ${computed} of ${total}, wrong are ${wrong.slice(0, 3)}`);
  }
  return findings;
}

function mergeTries(tries: readonly Ingest[], find: (rule: Rule, detail: string) => void): Ingest {
  const kept = tries.flatMap((one) => one.kept ?? []);
  const [first = null] = kept;
  if (kept.some((one) => !isDeepStrictEqual(one, first))) {
    find("repetition", `ingest ${tries[0]?.id}: ${JSON.stringify(kept)}`);
  }
  const answers = tries.flatMap(({ answeredMs }) => answeredMs ?? []);
  return {
    id: tries[0]?.id ?? "",
    rows: tries[0]?.rows ?? [],
    calledMs: Math.min(...tries.map((one) => one.calledMs)),
    answeredMs: answers.length > 0 ? Math.min(...answers) : null,
    kept: first,
  };
}

/** Each answer names the rows in the table after it: the answers are in one order, and that is no other than time's. */
function checkTotals(ingests: readonly Ingest[], find: (rule: Rule, detail: string) => void): void {
  const kept = ingests.flatMap(({ kept: one, ...rest }) => (one ? [{ ...rest, ...one }] : []));
  const ordered = kept.sort((a, b) => a.total - b.total);
  let reached = 0;
  let latestCallMs = 0;
  for (const { id, rows, total, count, calledMs, answeredMs } of ordered) {
    if (count !== rows.length) find("ingest", `${id} had ${rows.length} rows, ${count} were counted`);
    if (total - count < reached) find("ingest", `${id}: ${total} rows after ${reached} and ${count} more`);
    if (answeredMs !== null && answeredMs < latestCallMs)
      find("ingest", `${id}: its ${total} rows came before fewer`);
    reached = total;
    latestCallMs = Math.max(latestCallMs, calledMs);
  }
}

function checkRows(
  ingests: readonly Ingest[],
  found: TableHistory["end"]["rows"],
  find: (rule: Rule, detail: string) => void,
): void {
  const times = new Map<string, number>();
  for (const [entity, rows] of Object.entries(found)) {
    for (const row of rows) times.set(`${entity} ${row}`, (times.get(`${entity} ${row}`) ?? 0) + 1);
  }
  for (const { id, rows, kept } of ingests) {
    const counts = rows.map(({ entity, row }) => times.get(`${entity} ${row}`) ?? 0);
    for (const { entity, row } of rows) times.delete(`${entity} ${row}`);
    const isRight = counts.every((count) => count === 1) || (!kept && counts.every((count) => count === 0));
    if (!isRight)
      find(
        "ingest",
        `${id}, ${kept ? "acknowledged" : "without an answer"}: its rows are there ${counts} times`,
      );
  }
  for (const row of times.keys()) find("ingest", `nobody has sent the row ${row}`);
}
