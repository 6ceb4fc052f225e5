import { readArguments, USAGE } from "./import/arguments.ts";
import { type Input, openInputs } from "./import/inputs.ts";
import { assertReadable, readRequests, type Told } from "./import/read-rows.ts";
import { rejectsFile } from "./import/rejects.ts";
import { batchBody, type RowWrite } from "./import/requests.ts";
import { Sender } from "./import/send-rows.ts";
import { dryRunText, oneLine, planText, summaryText } from "./import/summary.ts";
import { type Reject, Tally } from "./import/tally.ts";
import { BATCH_PATH } from "./items-batch.ts";
import { endWith, helpWhenAsked } from "./options.ts";
import { Progress } from "./progress.ts";
import { CommandFault, Service } from "./service.ts";
import { whenAskedToEnd } from "./wrangler.ts";

const GO_ON = "Run it again to go on: what is written stays as it is.";

/** Of a dry run: requests that are shown, and writes of each. */
const SHOWN_REQUESTS = 2;
const SHOWN_WRITES = 3;

helpWhenAsked(USAGE);
const read = readArguments(process.argv.slice(2));
const options = "fault" in read ? endWith(USAGE, read.fault) : read;
const { url, key, files, mapping, ttlSeconds, rate, concurrency, rejects, isDryRun } = options;
const bodyOptions = { ...mapping, ttlSeconds };
const tally = new Tally();

try {
  await importAll();
} catch (cause) {
  if (!(cause instanceof CommandFault)) throw cause;
  console.error(`\n${oneLine(cause.message)}`);
  process.exitCode = 1;
}

async function importAll(): Promise<void> {
  const service = new Service(url, key);
  if (!isDryRun) await service.assertThere();
  const { inputs, kinds } = await openInputs(options);
  const unitOf = unitIn(inputs);
  await assertReadable(inputs, mapping, unitOf);
  console.log(planText(inputs, mapping, { kinds, types: options.types }));
  const keep = rejects === null ? () => {} : rejectsFile(rejects, files, unitOf);
  const told = {
    empty: () => {
      tally.empty += 1;
    },
    reject: (rejected: Reject) => {
      keep(rejected);
      tally.reject(rejected);
    },
  };
  if (isDryRun) await showAll(inputs, told);
  else await writeAll(service, inputs, told);
  if (tally.rejected > 0) process.exitCode = 1;
}

/** Lines of a text file, rows of a Parquet file. */
function unitIn(inputs: readonly Input[]): (path: string) => string {
  const rowFiles = new Set(inputs.filter(({ format }) => format === "parquet").map(({ path }) => path));
  return (path) => (rowFiles.has(path) ? "row" : "line");
}

async function writeAll(service: Service, inputs: readonly Input[], told: Told): Promise<void> {
  const rows = inputs.reduce((sum, { contents }) => sum + contents.records, 0);
  const progress = new Progress(rows, "rows");
  const settled = (count: number) =>
    progress.add(count, tally.rejected > 0 ? `, ${tally.rejected} rejected` : "");
  const summary = () => summaryText(tally, { seconds: progress.seconds, unitOf: unitIn(inputs) });
  whenAskedToEnd(() => {
    console.log(`\nStopped. ${GO_ON}\n${summary()}`);
    process.exit(1);
  });
  const { reject } = told;
  const sending = { service, tally, concurrency, rate, reject, settled };
  const sender = new Sender({ ...sending, options: bodyOptions });
  const counted: Told = {
    empty: () => {
      told.empty();
      settled(1);
    },
    reject: (rejected) => {
      reject(rejected);
      settled(1);
    },
  };
  try {
    for await (const batch of readRequests(inputs, mapping, counted)) await sender.send(batch);
    await sender.end();
  } catch (cause) {
    await sender.end().catch(() => {});
    if (tally.read > 0) console.log(`\nNot all is written. ${GO_ON}\n${summary()}`);
    throw cause;
  }
  console.log(summary());
}

async function showAll(inputs: readonly Input[], told: Told): Promise<void> {
  let requests = 0;
  for await (const writes of readRequests(inputs, mapping, told)) {
    requests += 1;
    for (const { rows } of writes) tally.outcomes.applied += rows.length;
    if (requests <= SHOWN_REQUESTS) console.log(requestText(writes));
  }
  console.log(dryRunText(tally, requests, unitIn(inputs)));
}

function requestText(writes: readonly RowWrite[]): string {
  const lines = batchBody(writes, bodyOptions).split("\n");
  const left = writes.length - SHOWN_WRITES;
  // A line of the body for each write, and two around them.
  if (left > 0) lines.splice(1 + SHOWN_WRITES, left, `… ${left} more …`);
  return [`\nPOST ${url}${BATCH_PATH}`, ...lines, ""].join("\n");
}
