import { endWith, numbersOf, readOptions } from "../../scripts/options.ts";
import { whenAskedToEnd } from "../../scripts/wrangler.ts";
import { endServices, newDirectory, startService } from "../setup/service.ts";
import { fuzz, type OperationReport } from "./fuzz.ts";
import { endConnections } from "./send.ts";

const USAGE = `
npm run test:fuzz -- --seed 1 --runs 500

  --seed  the same seed makes the same requests
  --runs  requests of each operation
  --only  operations whose "METHOD /path" holds this text
  --url   a running service; without it one is started, with a state of its own, and ended`;

const values = readOptions(USAGE, {
  seed: { type: "string", default: String(Date.now() % 1_000_000) },
  runs: { type: "string", default: "200" },
  only: { type: "string" },
  url: { type: "string" },
});
// What was started is killed, and what it wrote removed, at the exit.
whenAskedToEnd(() => process.exit(1));
const number = numbersOf(USAGE, values);
const [seed, runs] = [number("seed", { least: 0 }), number("runs")];

if (values.url !== undefined && !(await isThere(values.url)))
  endWith(USAGE, `${values.url} does not answer.`);

console.log(`seed ${seed}, ${runs} requests of each operation`);
try {
  const url = values.url ?? (await startOwn());
  const startedMs = Date.now();
  const reports = await fuzz({ url, seed, runs, only: values.only, done: print });
  const requests = reports.reduce((total, report) => total + report.requests, 0);
  const failures = reports.flatMap(({ failure }) => failure ?? []);
  const seconds = ((Date.now() - startedMs) / 1_000).toFixed(0);
  console.log(`\n${requests} requests of ${reports.length} operations in ${seconds} s, seed ${seed}`);
  if (reports.length === 0) console.error(`no operation's "METHOD /path" holds ${values.only}`);
  for (const failure of failures) console.error(`\n${failure}`);
  process.exitCode = failures.length > 0 || reports.length === 0 ? 1 : 0;
} finally {
  endConnections();
  await endServices();
}

function isThere(url: string): Promise<boolean> {
  return fetch(`${url}/health`, { signal: AbortSignal.timeout(10_000) }).then(
    (response) => response.arrayBuffer().then(() => true),
    () => false,
  );
}

async function startOwn(): Promise<string> {
  const { url } = await startService({
    command: "serve",
    state: newDirectory(),
    args: ["--var", "LOG_LEVEL:ERROR"],
  });
  return url;
}

function print({ title, requests, statuses, failure }: OperationReport): void {
  const counts = Object.entries(statuses).map(([status, count]) => `${status}: ${count}`);
  console.log(`${failure === null ? "ok  " : "FAIL"} ${title}  ${requests} (${counts.join(", ")})`);
}
