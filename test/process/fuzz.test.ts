/**
 * Generated requests, valid and broken, to every operation of the service's own document, with a seed that is always
 * the same. Many more, with any seed: `npm run test:fuzz -- --seed 2 --runs 1000`.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fuzz, type OperationReport } from "../fuzz/fuzz.ts";
import { endConnections } from "../fuzz/send.ts";
import { endServices, newDirectory, startService } from "../setup/service.ts";

const SEED = 1;
const RUNS = 40;

let reports: OperationReport[] = [];

beforeAll(async () => {
  const { url } = await startService({
    command: "serve",
    state: newDirectory(),
    args: ["--var", "LOG_LEVEL:ERROR"],
  });
  reports = await fuzz({ url, seed: SEED, runs: RUNS });
}, 300_000);
afterAll(async () => {
  endConnections();
  await endServices();
});

describe(`seed ${SEED}, ${RUNS} requests of each operation`, () => {
  test("every answer is as documented, and no request brings out an error of the service's own", () => {
    expect(reports.flatMap(({ failure }) => failure ?? []).join("\n\n")).toBe("");
  });

  test("every operation was asked, and nearly every one was brought to succeed", () => {
    expect(reports.length).toBeGreaterThan(30);
    for (const { title, requests } of reports) expect(requests, title).toBeGreaterThanOrEqual(RUNS);
    // Else the requests are refused before anything is done with them, and the test says little.
    const unreached = reports.filter(
      ({ statuses }) => !Object.keys(statuses).some((status) => status.startsWith("2")),
    );
    expect(unreached.map(({ title }) => title).length, JSON.stringify(unreached)).toBeLessThanOrEqual(3);
  });
});
