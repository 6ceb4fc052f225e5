/** Asks every operation of the document generated requests, and judges every answer. */
import fc from "fast-check";
import { type Described, operationsOf } from "../setup/openapi.ts";
import { judgeOf } from "./answers.ts";
import { requestsOf } from "./requests.ts";
import { curlOf, type FuzzRequest, send } from "./send.ts";
import { buildWorld, type World } from "./world.ts";

export interface FuzzOptions {
  url: string;
  seed: number;
  /** Requests of each operation, before any is shrunk. */
  runs: number;
  /** Only operations whose `METHOD /path` holds this text. */
  only?: string | undefined;
  /** Called after each operation. */
  done?: (report: OperationReport) => void;
}

export interface OperationReport {
  title: string;
  requests: number;
  /** How many requests were answered with each status. */
  statuses: Record<string, number>;
  /** What was found, with the smallest request that shows it; null when all is well. */
  failure: string | null;
}

// What changes and removes things comes last: the others want something to be there.
const METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"];

export async function fuzz(options: FuzzOptions): Promise<OperationReport[]> {
  let world = await buildWorld(options.url);
  const operations = operationsOf(world.document)
    .filter(({ title }) => title.includes(options.only ?? ""))
    .toSorted((a, b) => METHODS.indexOf(a.method) - METHODS.indexOf(b.method));
  const reports: OperationReport[] = [];
  // Until a request may have removed something of it.
  let isWhole = true;
  for (const each of operations) {
    if (!isWhole) world = await buildWorld(options.url, world);
    isWhole = each.method === "GET" || each.method === "POST";
    const report = await fuzzOperation(each, world, options);
    options.done?.(report);
    reports.push(report);
  }
  return reports;
}

async function fuzzOperation(
  described: Described,
  world: World,
  { url, seed, runs }: FuzzOptions,
): Promise<OperationReport> {
  const judge = judgeOf(world.document, world.secrets);
  const statuses: Record<string, number> = {};
  let requests = 0;
  const faultOf = async (request: FuzzRequest) => {
    const answer = await send(url, request);
    requests += 1;
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
    return judge.faultOf(request, answer);
  };
  const property = fc.asyncProperty(requestsOf(world, described), async (request) => {
    const fault = await faultOf(request);
    if (fault !== null) throw new Error(fault);
  });
  const result = await fc.check(property, { seed, numRuns: runs });
  const [smallest] = result.counterexample ?? [];
  const failure = smallest && [
    `${described.title}: ${(result.errorInstance as Error | undefined)?.message}`,
    `  request: ${smallest.kind}`,
    `  again:   npm run test:fuzz -- --seed ${seed} --runs ${runs} --only '${described.title}'`,
    `  curl:    ${curlOf(url, smallest)}`,
  ];
  return { title: described.title, requests, statuses, failure: failure ? failure.join("\n") : null };
}
