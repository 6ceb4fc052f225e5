/** Writes the sample data of many users, a batch of users' days a request. */
import { formatTimestamp } from "../../worker/timestamps.ts";
import { BATCH_PATH, type Outcomes, resultsOf, WRITING_SOURCE } from "../items-batch.ts";
import { CommandFault, type Service } from "../service.ts";
import { categoriesOf, eventTimeOf, type SampleDay, type UserDay, userName } from "./generate.ts";

/** The most that `POST /items/batch` takes. A row is a user's day. */
const ROWS_PER_REQUEST = 1_000;

export interface Sample {
  seed: number;
  users: number;
  /** Newest first. */
  days: readonly SampleDay[];
}

/**
 * @param limits.concurrency Requests at a time.
 * @param written Called with the number of users' days of each request that was answered.
 * @throws CommandFault when a request or a row of it is refused.
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

async function writeDays(service: Service, batch: readonly UserDay[]): Promise<(keyof Outcomes)[]> {
  const data = batch.map((of) => {
    const event_timestamp = formatTimestamp(eventTimeOf(of));
    return {
      entity_type: "user",
      entity_value: of.user,
      feature_list: categoriesOf(of).map((category) => ({ ...category, event_timestamp })),
    };
  });
  const answer = await service.post(BATCH_PATH, { metadata: { source: WRITING_SOURCE }, data });
  return resultsOf(answer).map(({ entity_value, outcome, reason }) => {
    if (outcome !== "rejected") return outcome;
    throw new CommandFault(`POST ${BATCH_PATH}: ${entity_value} was rejected: ${reason?.detail}`);
  });
}
