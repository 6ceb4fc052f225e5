/** `npm run test:crash -- --rounds 20 --seed 1`: kills the service again and again, and checks what clients were told. */
import { numbersOf, readOptions } from "../../scripts/options.ts";
import { whenAskedToEnd } from "../../scripts/wrangler.ts";
import { MAX_ENTITY_DATABASES } from "../../worker/limits.ts";
import { endServices } from "../setup/service.ts";
import type { Finding, History } from "./history.ts";
import { smallestOffending } from "./offending.ts";
import { type CrashReport, crashRun } from "./run.ts";

/** Findings of one rule that are printed; the others are counted. */
const SHOWN_FINDINGS = 3;
const SHOWN_COMPLAINTS = 10;
const SHOWN_CHARACTERS = 1_500;

const USAGE = `
npm run test:crash -- --rounds 20 --seed 1

  --rounds     how often the service is killed
  --seed       another number makes other clients and other moments
  --clients    at a time
  --databases  over how many the entities are spread at first
  --spread-to  over how many they come to be spread while clients work and kills come, by one move or by several; without
               it they stay`;

const values = readOptions(USAGE, {
  rounds: { type: "string", default: "20" },
  // Another number makes other clients and other moments. Who meets whom is for the machine to say.
  seed: { type: "string", default: "1" },
  clients: { type: "string", default: "32" },
  databases: { type: "string", default: "1" },
  "spread-to": { type: "string" },
});
const number = numbersOf(USAGE, values);
const [rounds, seed, clients] = [number("rounds"), number("seed"), number("clients")];
const databases = number("databases", { least: 1, most: MAX_ENTITY_DATABASES });
const spreadTo =
  values["spread-to"] === undefined
    ? databases
    : number("spread-to", { least: databases + 1, most: MAX_ENTITY_DATABASES });

// What was started is killed, and what it wrote removed, at the exit.
whenAskedToEnd(() => process.exit(1));

try {
  const report = await crashRun({
    rounds,
    seed,
    clients,
    databases,
    spreadTo,
    say: (line) => console.log(line),
  });
  printSummary(report);
  printFindings(report);
  process.exitCode = report.findings.length + report.unexpected.length > 0 ? 1 : 0;
} catch (cause) {
  console.error(`seed ${seed}: the run could not be finished`, cause);
  process.exitCode = 1;
} finally {
  await endServices();
}

function printSummary({ figures, killedIn }: CrashReport): void {
  console.log(`
${rounds} rounds with seed ${seed}, ${clients} clients, entities in ${figures.databases} databases, ${figures.kills} kills, ${figures.seconds} s:
  ${figures.operations} operations: ${figures.applied} writes and deletions applied, ${figures.unchanged} that changed nothing, ${figures.reads} reads (${figures.strong} strong), ${figures.fromCache} from KV when all was at rest
  ${figures.unanswered} writes without an answer, ${figures.sentAgain} of them sent again, ${figures.replayed} answers replayed
  ${figures.ingests} ingests, ${figures.jobs} computations as jobs
  ${figures.events} events, handled ${figures.handled} times; ${figures.deliveries} deliveries accepted, ${figures.failedDeliveries} refused by the receiver`);
  if (spreadTo === databases) return;
  const kills = Object.entries(killedIn).map(([phase, times]) => `${times} while ${phase}`);
  console.log(
    `  ${figures.begun} moves to more databases begun, ${figures.finished} finished; kills: ${kills.join(", ") || "none"}; ${figures.refusals} writes refused`,
  );
}

function printFindings({ findings, unexpected, complaints, history }: CrashReport): void {
  if (findings.length + unexpected.length === 0) {
    console.log("found: nothing. Every promise that was looked at was kept");
    return;
  }
  console.log(`found, with seed ${seed}:`);
  for (const [rule, own] of Map.groupBy(findings, (finding) => finding.rule)) {
    console.log(`- ${rule}: ${own.length}`);
    for (const finding of own.slice(0, SHOWN_FINDINGS)) printFinding(finding, history);
  }
  if (unexpected.length > 0) console.log(`- answers that nobody should get: ${unexpected.length}`);
  for (const one of unexpected.slice(0, SHOWN_FINDINGS)) console.log(`    ${one.slice(0, SHOWN_CHARACTERS)}`);
  if (complaints.length > 0) console.log("the service complained of:");
  for (const [line, times] of complaints.slice(0, SHOWN_COMPLAINTS)) console.log(`    ${times} × ${line}`);
}

function printFinding({ entity, detail }: Finding, history: History): void {
  console.log(`    ${entity}: ${detail.slice(0, SHOWN_CHARACTERS)}`);
  for (const line of smallestOffending(history, entity) ?? []) {
    console.log(`      ${line.slice(0, SHOWN_CHARACTERS)}`);
  }
}
