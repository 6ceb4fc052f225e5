/** The history of a raw table without faults, and the events of its vectors. */
import { pick } from "../setup/random.ts";
import type { Announcement, Ingest, TableHistory } from "./history.ts";

const ENTITIES = ["s1", "s2", "s3"];

export function randomTable(random: () => number): { history: TableHistory; events: Announcement[] } {
  const ingests: Ingest[] = [];
  const rows: Record<string, string[]> = {};
  const events: Announcement[] = [];
  const revisions = new Map<string, number>();
  let total = 0;
  for (let i = 0; i < 25; i++) {
    const calledMs = i * 3 - random() * 5;
    const answeredMs = i * 3 + random() * 5;
    const own = Array.from({ length: 1 + Math.floor(random() * 4) }, (_, n) => ({
      row: `r${i}-${n}`,
      entity: pick(random, ENTITIES),
    }));
    const isAnswered = random() < 0.8;
    const isKept = isAnswered || random() < 0.5;
    if (isKept) {
      total += own.length;
      for (const { row, entity } of own) rows[entity] = [...(rows[entity] ?? []), row];
      for (const entity of new Set(own.map((one) => one.entity)))
        events.push(nextEvent(revisions, entity, i));
    }
    const kept = { total, count: own.length };
    const ingest = { id: `i${i}`, calledMs, rows: own };
    ingests.push({ ...ingest, answeredMs: isAnswered ? answeredMs : null, kept: isAnswered ? kept : null });
    if (isKept && random() < 0.2) ingests.push({ ...ingest, answeredMs: answeredMs + 20, kept });
  }
  const computed = [...revisions].map(([entity, revision]) => ({
    entity: `shopper/${entity}`,
    category: "baskets",
    revision,
  }));
  const jobs = [{ id: "j", status: "done", computed: 3, total: 3, wrong: [] }];
  return {
    history: { table: "baskets", ingests, end: { rowCount: total, rows, vectors: rows, computed, jobs } },
    events,
  };
}

function nextEvent(revisions: Map<string, number>, entity: string, ingest: number): Announcement {
  const revision = (revisions.get(entity) ?? 0) + 1;
  revisions.set(entity, revision);
  return {
    eventId: `vector ${entity} ${revision}`,
    entity: `shopper/${entity}`,
    category: "baskets",
    revision,
    computeId: `ingest-${ingest}`,
  };
}
