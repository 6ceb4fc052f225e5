import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { bundleRow } from "./bench/bundle.ts";
import { entityRows, newKey, writeRows } from "./bench/fill.ts";
import { Generator } from "./bench/generate-load.ts";
import { historyRow } from "./bench/history.ts";
import { metricsRow } from "./bench/metrics.ts";
import { HOT_ENTITIES, readRows } from "./bench/reads.ts";
import type { Measured, Row } from "./bench/rows.ts";
import { buildAll, migrate, startServer } from "./bench/servers.ts";
import type { Setting } from "./bench/setting.ts";
import { levelTable, mainTable, remarks, verdictOf } from "./bench/table.ts";
import { upsertRows } from "./bench/writes.ts";
import { numbersOf, readOptions } from "./options.ts";
import { printStraightFromRuntime } from "./runtime-output.ts";
import { endWithWrangler, root, whenAskedToEnd } from "./wrangler.ts";

// A start is timed before minutes of load leave the machine other work.
const ROWS: Row[] = [bundleRow, ...readRows, metricsRow, ...upsertRows, historyRow];
const ENTITIES = 10_000;

const USAGE = `
npm run bench

  --only      a row (or several), without writing bench/results.json: ${ROWS.map(({ name }) => name).join(", ")}
  --seconds   of one measurement; 1 without it. There are three of each side, in turn
  --seed      another number makes other values and another order
  --no-build  measure what the last run has built`;

const values = readOptions(USAGE, {
  only: { type: "string", multiple: true, default: [] },
  seconds: { type: "string", default: "1" },
  seed: { type: "string", default: "1" },
  "no-build": { type: "boolean", default: false },
});
const ROUNDS = 3;
/** Of the five minutes that all of it may take: what has a ratio is measured once from here on, and then nothing more. */
const LATE_MS = 225_000;
const OVER_MS = 280_000;
const startedMs = performance.now();
const number = numbersOf(USAGE, values);
const seconds = number("seconds", { least: 0.1, most: 60, isWhole: false });
const seed = number("seed", { least: 0 });
const rows = chosenRows(values.only);

const directory = mkdtempSync(join(tmpdir(), "feature-store-bench-"));
process.once("exit", () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }));
whenAskedToEnd(() => void endWithWrangler(1));
printStraightFromRuntime();

const setting = await prepare();
const results: Measured[] = [];
for (const row of rows) {
  say(`measuring ${row.name}`);
  try {
    results.push(...(await row.run(setting)));
  } catch (cause) {
    console.error(`${row.name} could not be measured:`, cause);
    process.exitCode = 1;
  }
}
for (const result of results) {
  if (!result.measureLevels) continue;
  say(`measuring ${result.work}, at other loads`);
  result.levels = await result.measureLevels();
}
report();
// Not by disposing of each runtime: what they have written is thrown away.
process.exit();

async function prepare(): Promise<Setting> {
  say("building the service and its controls");
  await Promise.all([
    ...(values["no-build"] ? [] : [buildAll()]),
    migrate("service", directory),
    migrate("naive", directory),
  ]);
  const service = await startServer("service", directory);
  const constant = await startServer("constant", directory);
  const naive = await startServer("naive", directory);
  const headers = await newKey(service);
  say(`writing ${ENTITIES} entities of 3 categories × 20 features`);
  const entities = entityRows(seed, ENTITIES);
  const fillMs = performance.now();
  const written = await writeRows(service, entities, { headers });
  const perSecond = Math.round((written * 1_000) / (performance.now() - fillMs));
  await writeRows(naive, entities.slice(0, written), { headers: {}, path: "/fill" });
  say(`${written} entities are there (${perSecond} a second)`);
  const generator = new Generator();
  return {
    service,
    constant,
    naive,
    generator,
    headers,
    seed,
    seconds,
    rounds: ROUNDS,
    entities: written,
    isLate: () => performance.now() - startedMs > LATE_MS,
    isOver: () => performance.now() - startedMs > OVER_MS,
    directory,
  };
}

function report(): void {
  const took = Math.round((performance.now() - startedMs) / 1_000);
  console.log(`
${mainTable(results)}

${levelTable(results)}

Ratios with a goal are the median of ${ROUNDS} pairs, measured in turn; all else the median of each side. Closed loop with 16 connections where
nothing else is said; at a fixed rate latency counts from when a request was due. Hot reads are of ${HOT_ENTITIES} entities:
all are answered from memory, and renewed from KV behind the answers before their second is over.

${remarks(results).join("\n")}

${took} s.`);
  if (values.only.length > 0) return;
  if (process.exitCode) {
    say("bench/results.json stays as it was: it would lack what could not be measured");
    return;
  }
  mkdirSync(join(root, "bench"), { recursive: true });
  const facts = {
    at: new Date().toISOString(),
    ...machine(),
    seed,
    seconds,
    rounds: ROUNDS,
    entities: setting.entities,
  };
  const told = results.map((result) => ({ ...result, verdict: verdictOf(result) }));
  writeFileSync(join(root, "bench/results.json"), asFormatted({ ...facts, results: told }));
}

/** As the formatter wants JSON: lists of numbers on one line. */
function asFormatted(value: unknown): string {
  const text = JSON.stringify(value, null, 2);
  return `${text.replaceAll(/\[\s+([-\d.,\s]+?)\s+\]/g, (_, list: string) => `[${list.replaceAll(/\s+/g, " ")}]`)}\n`;
}

function machine() {
  const versionOf = (name: string): unknown =>
    JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8")).version;
  return {
    cores: availableParallelism(),
    processor: cpus()[0]?.model ?? "unknown",
    memory_gib: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    workerd: versionOf("workerd"),
    miniflare: versionOf("miniflare"),
  };
}

function chosenRows(names: readonly string[]): Row[] {
  const unknown = names.find((name) => !ROWS.some((row) => row.name === name));
  if (unknown !== undefined) fail(`--only: there is no row ${unknown}.`);
  return names.length === 0 ? ROWS : ROWS.filter(({ name }) => names.includes(name));
}

function fail(sentence: string): never {
  console.error(`${sentence}\n${USAGE}`);
  process.exit(1);
}

function say(text: string): void {
  console.log(`${Math.round((performance.now() - startedMs) / 1_000)} s  ${text}`);
}
