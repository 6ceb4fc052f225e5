/**
 * The crash run (`npm run test:crash`), short: `kill -9` while clients write, delete, read and ingest, and while all that
 * they have is moved from one database to two. The local queue dies with the service, so every event that was on its way has
 * to come out of an intent again.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { smallestOffending } from "../crash/offending.ts";
import { type CrashReport, crashRun } from "../crash/run.ts";
import { endServices } from "../setup/service.ts";

const ROUNDS = 3;
/**
 * Five kills, see `move-plan.ts`: before the move, while the new database is opened, while what was left behind is removed,
 * and two after it. Nobody writes at the first two, so that the move need not wait for a minute.
 */
const SEED = 20262180;
const DATABASES = 2;

let report: CrashReport;
beforeAll(async () => {
  report = await crashRun({
    rounds: ROUNDS,
    seed: SEED,
    jobEvery: 0,
    databases: 1,
    spreadTo: DATABASES,
    say: (line) => console.log(line),
  });
  console.log(report.figures, report.killedIn);
}, 300_000);
afterAll(endServices);

test("after kills no acknowledged write, row, event or delivery is lost, and no read is older than it may be", () => {
  const { findings, history } = report;
  const shown = findings.slice(0, 5).map(({ rule, entity, detail }) => {
    return [rule, entity, detail, ...(smallestOffending(history, entity) ?? [])].join("\n");
  });
  expect(shown).toEqual([]);
});

test("while it lives the service refuses nothing but writes for a moment of the move, also soon after a kill", () => {
  expect(report.unexpected.slice(0, 5)).toEqual([]);
});

test("requests were cut off, sent again and recognised, and events came twice", () => {
  const { figures } = report;
  expect(figures.kills).toBeGreaterThanOrEqual(ROUNDS);
  expect(figures.unanswered).toBeGreaterThan(ROUNDS);
  expect(figures.sentAgain).toBeGreaterThan(0);
  expect(figures.replayed).toBeGreaterThanOrEqual(figures.sentAgain ?? 0);
  expect(figures.ingests).toBeGreaterThan(0);
  expect(figures.handled).toBeGreaterThan(figures.events ?? 0);
  expect(figures.deliveries).toBeGreaterThanOrEqual(figures.events ?? 0);
});

test("all was moved to two databases, and the service died on the way", () => {
  const { figures, killedIn } = report;
  expect(figures).toMatchObject({ databases: DATABASES, begun: 1, finished: 1 });
  expect(Object.keys(killedIn)).toContain("cleaning");
  expect(Object.keys(killedIn).length).toBeGreaterThan(1);
  expect(figures.refusals).toBeGreaterThan(0);
});
