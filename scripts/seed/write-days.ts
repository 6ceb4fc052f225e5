/** Writes the sample data of many users, a batch of users' days a request. */
import * as z from "zod";
import { formatTimestamp } from "../../worker/timestamps.ts";
import { categoriesOf, eventTimeOf, type SampleDay, type UserDay, userName } from "./generate.ts";
import { expectStatus, SeedFault, type Service } from "./service.ts";

/** The most that `POST /items/batch` takes. A row is a user's day. */
const ROWS_PER_REQUEST = 1_000;
const PATH = "/api/v1/items/batch";

export interface Sample {
  seed: number;
  users: number;
  /** Newest first. */
  days: readonly SampleDay[];
}

/** Rows by what became of them: current values, history alone, or nothing that was not there before. */
export interface Outcomes {
  applied: number;
  stale: number;
  duplicate: number;
}

/**
 * @param limits.concurrency Requests at a time.
 * @param written Called with the number of users' days of each request that was answered.
 * @throws SeedFault when a request or a row of it is refused.
 */
export async function writeSample(
  service: Service,
  sample: Sample,
  { concurrency, written }: { concurrency: number; written: (count: number) => void },
): Promise<Outcomes> {
  const outcomes: Outcomes = { applied: 0, stale: 0, duplicate: 0 };
  const batches = batchesOf(sample);
  // Several loops take from one generator; when one of them throws, the others end with what they have in hand.
  const takeFromShared = async () => {
    for (const batch of batches) {
      for (const outcome of await writeDays(service, batch)) outcomes[outcome] += 1;
      written(batch.length);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, takeFromShared));
  return outcomes;
}

/**
 * Users in order, each user's newest day first: then that one becomes current, and the older ones go to the history
 * alone. The other way round, every day would be announced as news: 30 times the messages in the queue.
 */
function* batchesOf({ seed, users, days }: Sample): Generator<UserDay[]> {
  let batch: UserDay[] = [];
  for (let position = 0; position < users; position += 1) {
    for (const day of days) {
      batch.push({ seed, user: userName(position), day });
      if (batch.length < ROWS_PER_REQUEST) continue;
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

const writtenAnswer = z.object({
  results: z.array(
    z.object({
      entity_value: z.string(),
      outcome: z.enum(["applied", "stale", "duplicate", "rejected"]),
      reason: z.object({ detail: z.string() }).optional(),
    }),
  ),
});

async function writeDays(service: Service, batch: readonly UserDay[]): Promise<(keyof Outcomes)[]> {
  const data = batch.map((of) => {
    const event_timestamp = formatTimestamp(eventTimeOf(of));
    return {
      entity_type: "user",
      entity_value: of.user,
      feature_list: categoriesOf(of).map((category) => ({ ...category, event_timestamp })),
    };
  });
  const answer = await service.post(PATH, { metadata: { source: "prediction_service" }, data });
  expectStatus(answer, PATH, 200);
  return writtenAnswer.parse(answer.body).results.map(({ entity_value, outcome, reason }) => {
    if (outcome !== "rejected") return outcome;
    throw new SeedFault(`POST ${PATH}: ${entity_value} was rejected: ${reason?.detail}`);
  });
}
