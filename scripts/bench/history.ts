/** Point in time, with a short and with a long history. */
import { below, randomOf } from "../random.ts";
import { compare, type Side } from "./compare.ts";
import { bytesOf } from "./connection.ts";
import { CATEGORIES, type Headers } from "./data.ts";
import { pastRows, writeRows } from "./fill.ts";
import { lessThan, type Row } from "./rows.ts";

const ROWS = 1_000;
const ENTITIES = 50;
const FEW_EVENTS = 5;
const MANY_EVENTS = 500;
const REQUESTS = 5;
const MAX_WRITE_MS = 40_000;
const LATE_WRITE_MS = 15_000;

/** Rows at random times within the history, and a little before it. */
function questions(
  name: string,
  { seed, events, headers }: { seed: number; events: number; headers: Headers },
) {
  const random = randomOf(seed);
  const spanMs = (events + 1) * 60_000;
  const endMs = Date.now() - 3_600_000;
  const question = () => ({
    line: "POST /api/v1/features/batch",
    body: {
      entity_type: "bright_uid",
      feature_names: CATEGORIES.map((category) => `${category}:value`),
      rows: Array.from({ length: ROWS }, () => ({
        entity_id: `${name}-${below(random, ENTITIES)}`,
        timestamp: new Date(endMs - random() * spanMs).toISOString(),
      })),
    },
  });
  return Array.from({ length: REQUESTS }, () => bytesOf(question(), headers));
}

export const historyRow: Row = {
  name: "history",
  async run({ service, generator, headers, seconds, rounds, seed, isLate }) {
    const side = async (events: number): Promise<Side & { written: number }> => {
      const name = `past-${events}`;
      const rows = pastRows(seed, { name, entities: ENTITIES, events });
      const written = await writeRows(service, rows, {
        headers,
        maxMs: isLate() ? LATE_WRITE_MS : MAX_WRITE_MS,
      });
      const sent = questions(name, { seed, events: Math.floor(written / ENTITIES), headers });
      return { server: service, requests: () => sent, written };
    };
    const [few, many] = [await side(FEW_EVENTS), await side(MANY_EVENTS)];
    const compared = await compare(generator, [many, few], {
      rounds,
      seconds,
      connections: 1,
      rate: null,
      isLate,
    });
    const events = Math.floor(many.written / ENTITIES);
    return [
      {
        work: `point in time, 1,000 rows × 3, history 5 → ${events}`,
        against: "the same with 5 events an entity",
        features: ROWS * CATEGORIES.length,
        compared,
        // As a ratio of times.
        value: 1 / compared.ratio,
        unit: "×",
        goal: lessThan(1.5),
        levels: [],
        note: events < MANY_EVENTS ? `only ${events} of ${MANY_EVENTS} events could be written in time` : "",
      },
    ];
  },
};
