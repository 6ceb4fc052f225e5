import { join } from "node:path";
import { unstable_getMiniflareWorkerOptions as readWorkerOptions } from "wrangler";
import { hasAtMost } from "../worker/characters.ts";
import { MAX_NAME_CHARACTERS, MIN_API_KEY_SECRET_CHARACTERS } from "../worker/limits.ts";
import { formatApiKey, hashSecret, newApiKey, SCOPES } from "../worker/tenants/api-key.ts";
import { TENANT_ID } from "../worker/tenants/tenant-id.ts";
import { nowMicros, parseTimestamp, TIMESTAMP_FORM } from "../worker/timestamps.ts";
import { migrateLocally } from "./local-migrations.ts";
import { readOptions } from "./options.ts";
import { root, runWranglerOrExit } from "./wrangler.ts";

const USAGE = `
npm run key:create -- --tenant default --scopes admin

  --tenant      the key's tenant; it is created when there is none of this id
  --scopes      ${SCOPES.join(", ")}: one or more, comma separated
  --name        what the key is for
  --expires-at  when it ends; never, without it
  --persist-to  the local state to write to, as given to \`npm run dev\` (or \`--state\` of \`npm run serve\`)
  --remote      write to the deployed database; needs the environment variable API_KEY_SECRET
  --env         the environment of wrangler.toml; with --remote production, unless another is named`;

const values = readOptions(USAGE, {
  tenant: { type: "string" },
  scopes: { type: "string" },
  name: { type: "string", default: "key:create" },
  "expires-at": { type: "string" },
  "persist-to": { type: "string" },
  remote: { type: "boolean", default: false },
  env: { type: "string", short: "e" },
});
const env = values.env ?? (values.remote ? "production" : undefined);

// All arguments are looked at before anything is written.
const tenant = readTenant(values.tenant);
const scopes = readScopes(values.scopes);
const name = readName(values.name);
const expiresAt = readExpiry(values["expires-at"]);
const pepper = values.remote ? remotePepper() : localPepper();

if (!values.remote) {
  await migrateLocally(values["persist-to"], env);
}
const key = newApiKey(pepper);
const output = await runWranglerOrExit(
  ["d1", "execute", "DB", "--json", "--yes", "--command", insertion(), ...target()],
  "No key was created.",
);
if (!output.includes('"created_key"')) {
  fail(`The tenant ${tenant} is deleted, or being so: its id is not given again.`);
}
if (output.includes('"created_tenant"')) {
  console.error(`Tenant ${tenant}: created.`);
}
console.error(
  `Key ${key.keyId} of tenant ${tenant} (${scopes.join(", ")}). It is shown once: header X-API-Key.`,
);
// Alone on stdout, for $(npm run --silent key:create -- ...).
console.log(formatApiKey(key));

function insertion(): string {
  const now = nowMicros();
  const row = [
    quoted(key.keyId),
    quoted(tenant),
    quoted(name),
    quoted(hashSecret(key.secret, pepper)),
    quoted(JSON.stringify(scopes)),
    now,
    expiresAt ?? "NULL",
  ];
  return `INSERT INTO tenants (tenant_id, name, created_at) VALUES (${quoted(tenant)}, ${quoted(tenant)}, ${now})
    ON CONFLICT DO NOTHING RETURNING tenant_id AS created_tenant;
  INSERT INTO api_keys (key_id, tenant_id, name, secret_hash, scopes, created_at, expires_at)
    SELECT ${row.join(", ")} FROM tenants
    WHERE tenant_id = ${quoted(tenant)} AND status IN ('active', 'suspended') RETURNING key_id AS created_key;`;
}

function target(): string[] {
  return [
    values.remote ? "--remote" : "--local",
    ...(values["persist-to"] ? ["--persist-to", values["persist-to"]] : []),
    ...(env ? ["--env", env] : []),
  ];
}

// `wrangler d1 execute` takes no parameters. SQLite knows no escape but the doubled quote.
function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function readTenant(text: string | undefined): string {
  if (text === undefined) fail("--tenant is needed.");
  if (!TENANT_ID.test(text)) fail("--tenant must be lower-case letters, digits, `-` and `_`, 64 at most.");
  return text;
}

function readScopes(text: string | undefined) {
  const named = (text ?? "").split(",").map((scope) => scope.trim());
  const isScope = (scope: string) => SCOPES.some((known) => known === scope);
  if (!named.every(isScope)) fail(`--scopes must name ${SCOPES.join(", ")}: one or more.`);
  return SCOPES.filter((scope) => named.includes(scope));
}

function readName(text: string): string {
  const isName = text !== "" && hasAtMost(text, MAX_NAME_CHARACTERS) && !/\p{Cc}/u.test(text);
  if (!isName) fail(`--name must have 1 to ${MAX_NAME_CHARACTERS} characters, no control characters.`);
  return text;
}

function readExpiry(text: string | undefined): number | null {
  if (text === undefined) return null;
  const time = parseTimestamp(text);
  if (time === null) fail(`--expires-at must be ${TIMESTAMP_FORM}.`);
  if (time <= nowMicros()) fail("--expires-at must be a time to come.");
  return time;
}

/** What the local service has: from wrangler.toml, or from .dev.vars, which comes before it. */
function localPepper(): string {
  const { WRANGLER_LOG = "log" } = process.env;
  // It would say on stdout, where the key alone must be, which file it has read.
  process.env.WRANGLER_LOG = "error";
  const { bindings = {} } = readWorkerOptions(join(root, "wrangler.toml"), env).workerOptions;
  process.env.WRANGLER_LOG = WRANGLER_LOG;
  const { API_KEY_SECRET } = bindings as Record<string, unknown>;
  return checkedPepper(API_KEY_SECRET, `Set API_KEY_SECRET in .dev.vars${env ? `.${env}` : ""}.`);
}

/** A secret of the platform cannot be read back, so it must be given again. */
function remotePepper(): string {
  const advice =
    "With --remote the environment variable API_KEY_SECRET must hold the value that the deployed service has.";
  return checkedPepper(process.env.API_KEY_SECRET, advice);
}

function checkedPepper(secret: unknown, advice: string): string {
  if (typeof secret === "string" && secret.length >= MIN_API_KEY_SECRET_CHARACTERS) return secret;
  return fail(
    `API_KEY_SECRET is missing or shorter than ${MIN_API_KEY_SECRET_CHARACTERS} characters. ${advice}`,
  );
}

function fail(sentence: string): never {
  console.error(`${sentence}\n${USAGE}`);
  process.exit(1);
}
