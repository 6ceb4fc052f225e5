/** Faults of events, deliveries, tables and what is computed from them, planted as in `planted.ts`. */
import { pick } from "../setup/random.ts";
import type { Announcement, Ingest, TableEnd, TableHistory } from "./history.ts";
import type { Planted } from "./planted.ts";
import type { RandomHistory } from "./random-history.ts";

type Seen = "events" | "deliveries";

const ofSeen = (history: RandomHistory, which: Seen): Announcement[] => history[which] ?? [];
const isSame = (a: Announcement, b: Announcement) =>
  a.entity === b.entity && a.category === b.category && a.revision === b.revision;

function plantedIn(which: Seen, word: "event" | "delivery"): Planted[] {
  return [
    {
      fault: `${which}: those of a write are lost`,
      rules: [`${word} lost`],
      plant: (history, random) => {
        const gone = pick(random, ofSeen(history, which));
        history[which] = ofSeen(history, which).filter((one) => !isSame(one, gone));
        return true;
      },
    },
    {
      fault: `${which}: one comes again under another event_id`,
      rules: ["event identity"],
      plant: (history, random) => {
        ofSeen(history, which).push({ ...pick(random, ofSeen(history, which)), eventId: "another" });
        return true;
      },
    },
    {
      fault: `${which}: two have the same event_id`,
      rules: ["event identity"],
      plant: (history, random) => {
        const seen = ofSeen(history, which);
        const one = pick(random, seen);
        const other = seen.find((each) => !isSame(each, one));
        if (!other) return false;
        history[which] = seen.map((each) => (isSame(each, one) ? { ...each, eventId: other.eventId } : each));
        return true;
      },
    },
    {
      fault: `${which}: one tells of what was never applied`,
      rules: [`${word} of nothing`],
      plant: (history, random) => {
        const one = pick(random, ofSeen(history, which));
        ofSeen(history, which).push({ ...one, revision: 9_999, eventId: "new", computeId: "new" });
        return true;
      },
    },
    {
      fault: `${which}: one names another write than the one that was applied`,
      rules: [`${word} of nothing`],
      plant: (history, random) => {
        const own = ofSeen(history, which).filter(({ entity }) => !entity.startsWith("shopper/"));
        const one = pick(random, own);
        ofSeen(history, which).push({ ...one, computeId: "another" });
        return true;
      },
    },
    {
      fault: `${which}: a later revision comes before an earlier one`,
      rules: [`${word} order`],
      plant: (history, random) => {
        const seen = ofSeen(history, which);
        const late = pick(random, seen);
        const at = seen.findIndex(
          ({ entity, revision }) => entity === late.entity && revision < late.revision,
        );
        if (at < 0) return false;
        const earlier = seen.filter((one) => one.entity === late.entity && one.revision < late.revision);
        history[which] = [late, ...seen];
        return earlier.length > 0;
      },
    },
  ];
}

function plantedTable(
  fault: string,
  rules: Planted["rules"],
  change: (table: TableHistory, random: () => number) => Partial<TableEnd> | boolean,
): Planted {
  return {
    fault,
    rules,
    plant: (history, random) => {
      const [table] = history.tables;
      const changed = table ? change(table, random) : false;
      if (!table || typeof changed === "boolean") return changed === true;
      table.end = { ...table.end, ...changed };
      return true;
    },
  };
}

/** What the rows would be with other ones for an ingest; the vectors say so too. */
function withRows({ end }: TableHistory, ingest: Ingest, times: (at: number) => number): Partial<TableEnd> {
  const rows = Object.fromEntries(Object.entries(end.rows).map(([entity, own]) => [entity, [...own]]));
  ingest.rows.forEach(({ entity, row }, at) => {
    const others = (rows[entity] ?? []).filter((each) => each !== row);
    rows[entity] = [...others, ...Array.from({ length: times(at) }, () => row)];
  });
  return { rows, vectors: rows, rowCount: Object.values(rows).flat().length };
}

const keptOnes = ({ ingests }: TableHistory) => ingests.filter(({ kept }) => kept);

const PLANTED_TABLES: readonly Planted[] = [
  plantedTable("the rows of an acknowledged ingest are lost", ["ingest"], (table, random) =>
    withRows(table, pick(random, keptOnes(table)), () => 0),
  ),
  plantedTable("the rows of an acknowledged ingest are there twice", ["ingest"], (table, random) =>
    withRows(table, pick(random, keptOnes(table)), () => 2),
  ),
  plantedTable("half of an ingest without an answer is kept", ["ingest"], (table, random) => {
    const open = table.ingests.filter((one) => {
      return one.rows.length > 1 && !table.ingests.some(({ id, kept }) => id === one.id && kept);
    });
    return open.length > 0 && withRows(table, pick(random, open), (at) => (at === 0 ? 1 : 0));
  }),
  plantedTable("a row that nobody has sent is there", ["ingest"], ({ end }) => {
    return {
      rows: { ...end.rows, s9: ["made up"] },
      vectors: { ...end.vectors, s9: ["made up"] },
      rowCount: end.rowCount + 1,
    };
  }),
  plantedTable("the table counts other rows than it has", ["ingest"], ({ end }) => ({
    rowCount: end.rowCount + 1,
  })),
  plantedTable("two ingests are told the same total", ["ingest"], (table) => {
    const [first, second] = new Map(keptOnes(table).map((one) => [one.id, one])).values();
    if (!first?.kept || !second?.kept) return false;
    second.kept = { ...second.kept, total: first.kept.total };
    return table.ingests.filter(({ id }) => id === second.id).length === 1;
  }),
  plantedTable("a repetition of an ingest is counted again", ["repetition"], (table, random) => {
    const one = pick(random, keptOnes(table));
    if (one.kept) table.ingests.push({ ...one, kept: { ...one.kept, total: one.kept.total + 100 } });
    return true;
  }),
  plantedTable("a vector is older than the rows", ["vector"], ({ end }, random) => {
    const entity = pick(random, Object.keys(end.vectors));
    return { vectors: { ...end.vectors, [entity]: (end.vectors[entity] ?? []).slice(1) } };
  }),
  plantedTable("a job is not finished", ["job"], ({ end }) => ({
    jobs: end.jobs.map((job) => ({ ...job, status: "running", computed: 1 })),
  })),
  plantedTable("a job has left out an entity", ["job"], ({ end }) => ({
    jobs: end.jobs.map((job) => ({ ...job, wrong: ["s1"] })),
  })),
];

const PLANTED_KEPT: readonly Planted[] = [
  {
    fault: "the history has lost a row of a write that was announced and delivered",
    rules: ["history lost"],
    plant: (history, random) => {
      const gone = pick(random, history.kept);
      history.kept = history.kept.filter((one) => one !== gone);
      return true;
    },
  },
  {
    fault: "the history of a vector has lost a row",
    rules: ["history lost"],
    plant: (history) => {
      history.kept = history.kept.filter(
        ({ entity, revision }) => !entity.startsWith("shopper/") || revision > 1,
      );
      return true;
    },
  },
  {
    fault: "what was deleted is still in the history",
    rules: ["history left"],
    plant: (history, random) => {
      const gone = history.events.filter((one) => !history.kept.some((each) => isSame(one, each)));
      if (gone.length === 0) return false;
      history.kept.push(pick(random, gone));
      return true;
    },
  },
  {
    fault: "a write is in the history twice",
    rules: ["history doubled"],
    plant: (history, random) => {
      history.kept.push({ ...pick(random, history.kept), eventId: "another" });
      return true;
    },
  },
];

export const PLANTED_EVENTS: readonly Planted[] = [
  ...PLANTED_KEPT,
  ...plantedIn("events", "event"),
  ...plantedIn("deliveries", "delivery"),
  ...PLANTED_TABLES,
];
