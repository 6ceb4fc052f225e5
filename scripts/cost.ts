import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { billOf } from "./cost/bill.ts";
import { measure } from "./cost/measure.ts";
import { LOOKED_UP, prices } from "./cost/prices.ts";
import { billTable, operationsTable } from "./cost/show.ts";
import { type Assumptions, DEFAULTS, monthOf } from "./cost/usage.ts";
import { endWith, numbersOf, readOptions } from "./options.ts";
import { endWithWrangler, whenAskedToEnd } from "./wrangler.ts";

/** Of an entity: two hundred such fit into one request to `/items/batch`. */
const MAX_FEATURES = 1_000;

const USAGE = `
npm run cost -- --reads 100000000 --writes 10000000 --entities 1000000

  --reads, --writes, --entities  a month; a write is of one entity
  --categories, --features       of each entity (3 categories of 20 features)
  --memory-share                 of the reads, answered from an isolate's memory (${DEFAULTS.memoryShare})
  --miss-share                   of the other reads, missed by KV (what follows from the documents' TTL)
  --batch-share, --grouped-share of the writes, by /items/batch or many at a time (${DEFAULTS.batchShare})
  --document-ttl-seconds, --history-days (${DEFAULTS.documentTtlSeconds}, ${DEFAULTS.historyDays})
  --archive-days                 that files of the archive are kept, after the history (${DEFAULTS.archiveDays}: no archive)
  --read-cpu-ms, --write-cpu-ms  CPU time of a request (${DEFAULTS.readCpuMs}, ${DEFAULTS.writeCpuMs})
  --writer-active-ms, --writers  how long a writer is active for a commit, and how many there are (${DEFAULTS.writerActiveMs}, ${DEFAULTS.writers})
  --isolates                     with traffic at any moment (${DEFAULTS.isolates})
  --registered                   features, in the registry that each isolate reads (${DEFAULTS.registered})
  --log-share                    of the invocations, whose log lines are kept (${DEFAULTS.logShare})
  --json                         all of it as JSON`;

const text = { type: "string" } as const;
const values = readOptions(USAGE, {
  reads: { ...text, default: "100000000" },
  writes: { ...text, default: "10000000" },
  entities: { ...text, default: "1000000" },
  categories: { ...text, default: "3" },
  features: { ...text, default: "20" },
  "memory-share": text,
  "miss-share": text,
  "batch-share": text,
  "grouped-share": text,
  "document-ttl-seconds": text,
  "history-days": text,
  "archive-days": text,
  "read-cpu-ms": text,
  "write-cpu-ms": text,
  "writer-active-ms": text,
  writers: text,
  isolates: text,
  registered: text,
  "log-share": text,
  json: { type: "boolean", default: false },
});

const number = numbersOf(USAGE, values);
const amount = (name: keyof typeof values) => number(name, { least: 0, isWhole: false });
const traffic = { reads: amount("reads"), writes: amount("writes"), entities: amount("entities") };
const assumed: Assumptions = {
  memoryShare: share("memory-share") ?? DEFAULTS.memoryShare,
  missShare: share("miss-share") ?? DEFAULTS.missShare,
  batchShare: share("batch-share") ?? DEFAULTS.batchShare,
  groupedShare: share("grouped-share") ?? DEFAULTS.groupedShare,
  documentTtlSeconds: given("document-ttl-seconds") ?? DEFAULTS.documentTtlSeconds,
  historyDays: given("history-days") ?? DEFAULTS.historyDays,
  archiveDays: given("archive-days") ?? DEFAULTS.archiveDays,
  readCpuMs: given("read-cpu-ms") ?? DEFAULTS.readCpuMs,
  writeCpuMs: given("write-cpu-ms") ?? DEFAULTS.writeCpuMs,
  writerActiveMs: given("writer-active-ms") ?? DEFAULTS.writerActiveMs,
  writers: given("writers") ?? DEFAULTS.writers,
  isolates: given("isolates") ?? DEFAULTS.isolates,
  registered: given("registered") ?? DEFAULTS.registered,
  logShare: share("log-share") ?? DEFAULTS.logShare,
};
const size = { categories: number("categories"), features: number("features") };
if (size.categories * size.features > MAX_FEATURES)
  endWith(USAGE, `--categories times --features must be at most ${MAX_FEATURES}.`);
if (assumed.batchShare + assumed.groupedShare > 1)
  endWith(USAGE, "--batch-share and --grouped-share are more than all writes.");

const state = mkdtempSync(join(tmpdir(), "feature-store-cost-"));
process.once("exit", () => rmSync(state, { recursive: true, force: true, maxRetries: 3 }));
whenAskedToEnd(() => void endWithWrangler(1));
const shape = { ...size, clients: 32, batch: 200 };
const measured = await measure(state, shape);
const { usage, missShare, warnings } = monthOf(measured, traffic, assumed);
const bill = billOf(usage);
console.log(
  values.json
    ? JSON.stringify(
        { measured, traffic, assumed, missShare, usage, bill, warnings, prices, lookedUp: LOOKED_UP },
        null,
        2,
      )
    : report(),
);
process.exit(0);

function report(): string {
  const shown = Object.entries({ ...assumed, missShare: missShare.toFixed(3) }).map(
    ([name, value]) => `${name} ${value}`,
  );
  return [
    "Operations, counted while the service ran:\n",
    operationsTable(measured),
    `\nA month of ${traffic.reads} reads and ${traffic.writes} writes of ${traffic.entities} entities, at the prices of ${LOOKED_UP}:\n`,
    billTable(bill),
    `\nAssumed: ${shown.join(", ")}.`,
    ...warnings.map((warning) => `\nWarning: ${warning}.`),
  ].join("\n");
}

function given(name: keyof typeof values): number | undefined {
  return values[name] === undefined ? undefined : amount(name);
}

function share(name: keyof typeof values): number | undefined {
  return values[name] === undefined ? undefined : number(name, { least: 0, most: 1, isWhole: false });
}
