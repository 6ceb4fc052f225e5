/**
 * The sample of system C against a running service: a raw table, its rows, a feature by SQL, vectors.
 *
 * `npm run sample -- --url http://localhost:8787 --key fs_…`. Ends with 1 at the first answer that is not as expected.
 * Every run makes a table and a feature of its own.
 */
import { deepStrictEqual } from "node:assert/strict";
import { readOptions, urlOf } from "./options.ts";
import { Service } from "./service.ts";

const USAGE = `
npm run sample -- --url http://localhost:8787

  --url  the running service
  --key  an API key with the scopes read and write; none is needed in development`;

const options = readOptions(USAGE, {
  url: { type: "string", default: "http://localhost:8787" },
  key: { type: "string" },
});

const url = urlOf(USAGE, options.url);
const run = Date.now().toString(36);
const rows = [
  { user_id: "user_001", transaction_amount: 150.5, transaction_date: "2024-01-15" },
  { user_id: "user_001", transaction_amount: 75.25, transaction_date: "2024-01-16" },
  { user_id: "user_002", transaction_amount: 200, transaction_date: "2024-01-15" },
];
const moreRows = [
  { user_id: "user_002", transaction_amount: 100, transaction_date: "2024-01-17" },
  { user_id: "user_003", transaction_amount: 9.99, transaction_date: "2024-01-17" },
];

interface Vector {
  entity_id: string;
  vector: Record<string, unknown>;
}

try {
  await new Service(url, options.key ?? null).assertThere();
  await runSample();
} catch (cause) {
  console.error(`\n${cause instanceof Error ? cause.message : cause}`);
  process.exitCode = 1;
}

async function runSample(): Promise<void> {
  const table = await step("register a raw table", "POST /raw-tables 201", {
    name: `user_transactions_${run}`,
    description: "User transaction data",
    schema_definition: { user_id: "string", transaction_amount: "float", transaction_date: "string" },
  });
  const ingested = await step("ingest rows", "POST /ingest 200", { raw_table_id: table.id, data: rows });
  expect("rows ingested", ingested.rows_ingested, rows.length);

  const name = `avg_transaction_amount_${run}`;
  const feature = await step("create a feature", "POST /features 201", {
    name,
    description: "Average transaction amount per user",
    raw_table_id: table.id,
    computation_logic: "SELECT user_id, AVG(transaction_amount) as avg_amount FROM data GROUP BY user_id",
    entity_key: "user_id",
  });
  const version = await step("add a version", `POST /features/${feature.feature_id}/versions 201`, {
    version: "v1",
    status: "active",
  });

  const compute = `POST /features/${feature.feature_id}/compute?version=v1 200`;
  const given = await step("compute over the rows of the request", compute, moreRows);
  expect("entities computed", given.computed, 2);
  await expectVector(`feature_name=${name}`, "user_002", { avg_amount: 100 });

  const all = await step("compute over the ingested rows", compute);
  expect("entities computed", all.computed, 2);
  await expectVector(`feature_name=${name}`, "user_001", { avg_amount: 112.875 });
  await expectVector(`feature_version_id=${version.feature_version_id}`, "user_002", { avg_amount: 200 });
  // Of no ingested row: what the first computation said of it stands.
  await expectVector(`feature_name=${name}`, "user_003", { avg_amount: 9.99 });
  await step(
    "ask for an entity that there is not",
    `GET /feature-vectors?entity_id=nobody&feature_name=${name} 404`,
  );
  console.log("\nall as expected");
}

async function expectVector(which: string, entity: string, vector: Record<string, unknown>): Promise<void> {
  const path = `/feature-vectors?entity_id=${entity}&${which}`;
  const answer = (await step(`read the vector of ${entity}`, `GET ${path} 200`)) as unknown as Vector;
  expect("the vector", answer.vector, vector);
}

/** @param request Method, path below `/api/v1`, and the status that its answer must have. */
async function step(title: string, request: string, body?: unknown): Promise<Record<string, unknown>> {
  const [method = "", path = "", status] = request.split(" ");
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: {
      ...(body !== undefined && { "content-type": "application/json" }),
      ...(options.key && { "x-api-key": options.key }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  console.log(`\n${title}\n  ${method} /api/v1${path}\n  ${response.status} ${text}`);
  if (String(response.status) !== status) {
    throw new Error(`${title}: expected ${status}, found ${response.status}`);
  }
  return JSON.parse(text);
}

function expect(what: string, found: unknown, expected: unknown): void {
  deepStrictEqual(
    found,
    expected,
    `${what}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`,
  );
}
