/** Things for generated requests to speak of: made from the document's own examples, and some that belong together. */
import { setTimeout as sleep } from "node:timers/promises";
import { concretePath, type Described, exampleBody, type OpenApi, operationsOf } from "../setup/openapi.ts";
import { Harvest, type Known } from "./known.ts";
import { type FuzzAnswer, send } from "./send.ts";
import { local } from "./values.ts";

export interface World {
  document: OpenApi;
  known: Known;
  /** Keys that exist; no answer may show one again. */
  secrets: Set<string>;
  harvest: Harvest;
}

interface Asked {
  method: string;
  path: string;
  body?: unknown;
}

type Ask = (asked: Asked) => Promise<FuzzAnswer>;

const MOST_LOOKS = 50;
const LOOK_EVERY_MS = 100;

// The document's examples speak of this table and of this feature.
const TABLE = {
  name: "user_transactions",
  schema_definition: { user_id: "string", transaction_amount: "float", transaction_date: "string" },
};
const ROWS = [1, 2, 3].map((n) => ({
  user_id: `user_00${n}`,
  transaction_amount: n / 2,
  transaction_date: "2024-01-15",
}));
const COMPUTED = {
  name: "avg_transaction_amount",
  computation_logic: "SELECT user_id, AVG(transaction_amount) AS mean FROM data GROUP BY user_id",
  entity_key: "user_id",
};

/**
 * Makes the world, or again what requests have removed of it. What exists already is refused or repeated, and either
 * does no harm.
 *
 * @param before The world to be made again; what it knows is known still.
 */
export async function buildWorld(url: string, before?: World): Promise<World> {
  const document = json(await send(url, plain({ method: "GET", path: "/openapi.json" }))) as OpenApi;
  const { harvest, secrets } = before ?? { harvest: new Harvest(), secrets: new Set<string>() };
  const ask: Ask = async (asked) => {
    const answer = await send(url, plain(asked));
    harvest.take(asked.body);
    harvest.take(
      Object.fromEntries(Object.entries(answer.headers).filter(([name]) => name === "x-consistency-token")),
    );
    const body = json(answer);
    if (answer.status < 300) harvestAnswer(harvest, { document, path: asked.path, body });
    const key = (body as { key?: unknown } | undefined)?.key;
    if (typeof key === "string") secrets.add(key);
    return answer;
  };
  await makeComputed(ask);
  // Thousands of vectors: once.
  if (!before) await makeJob(ask);
  await makeEntities(ask);
  await makeTrainingSet(ask, { isAwaited: !before });
  await makeExamples(document, ask);
  return { document, known: harvest.known(), secrets, harvest };
}

function plain({ method, path, body }: Asked) {
  const text = body === undefined ? null : JSON.stringify(body);
  const headers: Record<string, string> = text === null ? {} : { "content-type": "application/json" };
  return { kind: "world", method, path, headers, body: text };
}

function json({ text }: FuzzAnswer): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function harvestAnswer(
  harvest: Harvest,
  { document, path, body }: { document: OpenApi; path: string; body: unknown },
): void {
  if (path === "/openapi.json") return;
  harvest.take(body);
  for (const each of Object.keys(document.paths)) {
    const [, parameter] = /^[^{]*\/\{(\w+)\}$/.exec(each) ?? [];
    if (parameter && each.startsWith(`${path.split("?")[0]}/{`)) harvest.takeIds(parameter, body);
  }
}

/** What every operation's example speaks of: each is asked as documented, what makes things before what reads them. */
async function makeExamples(document: OpenApi, ask: Ask): Promise<void> {
  const ORDER = ["POST", "GET"];
  const operations = operationsOf(document).filter(({ method }) => ORDER.includes(method));
  const rank = ({ method, path }: Described) => ORDER.indexOf(method) * 10 + path.split("{").length;
  for (const each of operations.toSorted((a, b) => rank(a) - rank(b))) {
    if (/^\/(docs|redoc|openapi)/.test(each.path)) continue;
    const body = each.operation.requestBody && local(exampleBody(document, each));
    await ask({
      method: each.method,
      path: concretePath(document, each),
      ...(body !== undefined && { body }),
    });
  }
}

/** The entities of the examples, without the conditions under which the examples write them. */
async function makeEntities(ask: Ask): Promise<void> {
  const features = { age: 30, total_transactions: 150, avg_credit_30d: 150.5, num_transactions: 25 };
  const categories = ["user_features", "transaction_features", "trans_features", "default"];
  const feature_list = categories.map((category) => ({ category, features }));
  const data = ["bright_uid", "account_id"].map((entity_type) => ({
    entity_type,
    entity_value: "user-123",
    feature_list,
  }));
  const metadata = { source: "prediction_service" };
  for (const each of data) {
    await ask({ method: "POST", path: "/api/v1/items", body: { metadata, data: each } });
  }
}

/** Of features that exist whatever is registered; and the features of which the document's example is. */
async function makeTrainingSet(ask: Ask, { isAwaited }: { isAwaited: boolean }): Promise<void> {
  for (const name of ["user_age", "user_lifetime_value"]) {
    const feature = { name, dtype: "int64", entity_type: "user" };
    await ask({ method: "POST", path: "/api/v1/features/register", body: feature });
  }
  const rows = [{ entity_id: "user-123", timestamp: "2026-01-01T00:00:00Z" }];
  const body = { rows, feature_names: ["default:age"], entity_type: "bright_uid" };
  const made = json(await ask({ method: "POST", path: "/api/v1/training-sets", body }));
  const path = `/api/v1/training-sets/${(made as { training_set_id?: string }).training_set_id}`;
  // Its file is there a moment later; where it never is, the run goes on without.
  for (let i = 0; isAwaited && i < MOST_LOOKS; i++) {
    const { status } = json(await ask({ method: "GET", path })) as { status?: string };
    if (status !== "queued" && status !== "running") return;
    await sleep(LOOK_EVERY_MS);
  }
}

/** A raw table with rows, a feature computed from it with vectors, and a job. */
async function makeComputed(ask: Ask): Promise<void> {
  const post = (path: string, body?: unknown) => ask({ method: "POST", path: `/api/v1${path}`, body });
  const made = json(await post("/raw-tables", TABLE)) as { id?: number };
  const tables = json(await ask({ method: "GET", path: "/api/v1/raw-tables" })) as {
    raw_tables?: { id: number; name: string }[];
  };
  const raw_table_id = made.id ?? tables.raw_tables?.find(({ name }) => name === TABLE.name)?.id ?? 1;
  await post("/ingest", { raw_table_id, data: ROWS });
  await post("/features", { ...COMPUTED, raw_table_id });
  await post(`/features/${COMPUTED.name}/versions`, { version: "v1", status: "active" });
  await post(`/features/${COMPUTED.name}/compute`, ROWS);
  // One that no feature reads from, so that it can be dropped; its rows have times, so that they can be too old.
  const schema_definition = { ...TABLE.schema_definition, at: "timestamp" };
  await post("/raw-tables", { name: "spare", schema_definition, timestamp_column: "at" });
}

/** A computation of more entities than one request computes. */
async function makeJob(ask: Ask): Promise<void> {
  const body = Array.from({ length: 2_001 }, (_, i) => ({ ...ROWS[0], user_id: `many-${i}` }));
  await ask({ method: "POST", path: `/api/v1/features/${COMPUTED.name}/compute`, body });
}
