import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unstable_readConfig as readConfig } from "wrangler";
import { MIN_API_KEY_SECRET_CHARACTERS } from "../worker/limits.ts";
import { makeAssets } from "./assets.ts";
import { namespaceId, namespaceTitle, withNamespaceIds } from "./namespace-ids.ts";
import { readOptions } from "./options.ts";
import { buildBundle, root, runWrangler, runWranglerOrExit, startWrangler, waitForExit } from "./wrangler.ts";

const USAGE = `
npm run deploy

  --env      the environment of wrangler.toml, production without it
  --dry-run  builds, and shows the bundle; nothing is deployed`;

const values = readOptions(USAGE, {
  env: { type: "string", short: "e", default: "production" },
  "dry-run": { type: "boolean", default: false },
});
const target = ["--env", values.env];
const config = readConfig({ config: join(root, "wrangler.toml"), env: values.env });

makeAssets();
// Before anything is created, so that code that does not build changes nothing on the account.
const bundle = await buildBundle(join(root, "dist/worker"), values.env);
if (values["dry-run"]) {
  console.log(bundle);
} else {
  await logIn();
  await createMissing();
  const namespaces = await findOrCreateNamespaces();
  await migrate();
  process.exitCode = await deployWith(namespaces);
  if (process.exitCode !== 0) {
    console.error(
      "The old version, if any, still runs. Correct what wrangler names above and run this again.",
    );
  }
}

async function logIn(): Promise<void> {
  await runWranglerOrExit(
    ["whoami", "--json"],
    "Log in with `npx wrangler login`, or set CLOUDFLARE_API_TOKEN. With several accounts, set CLOUDFLARE_ACCOUNT_ID too.",
  );
}

/** Creates the queues, databases and buckets of wrangler.toml that the account lacks. */
async function createMissing(): Promise<void> {
  const { producers = [], consumers = [] } = config.queues;
  const queues = [
    ...producers.map((producer: { queue?: string }) => producer.queue),
    ...consumers.flatMap((consumer: { queue: string; dead_letter_queue?: string }) => [
      consumer.queue,
      consumer.dead_letter_queue,
    ]),
  ];
  for (const name of new Set(queues)) {
    await createUnlessThere("queues", name, []);
  }
  const location = String(config.vars.LOCATION_HINT ?? "");
  const near = location === "" ? [] : ["--location", location];
  for (const database of config.d1_databases) {
    await createUnlessThere("d1", database.database_name, ["--update-config=false", ...near]);
  }
  for (const bucket of config.r2_buckets) {
    await createUnlessThere("r2 bucket", bucket.bucket_name, ["--update-config=false"]);
  }
}

async function createUnlessThere(
  kind: "queues" | "d1" | "r2 bucket",
  name: unknown,
  options: string[],
): Promise<void> {
  if (typeof name !== "string") {
    return;
  }
  const { exitCode } = await runWrangler([...kind.split(" "), "info", name, ...target]);
  if (exitCode === 0) {
    console.log(`${kind} ${name}: is there`);
    return;
  }
  await runWranglerOrExit(
    [...kind.split(" "), "create", name, ...options, ...target],
    "The token needs the right to edit Workers, Queues, D1, KV and R2, and Queues (and R2, where a bucket is bound) must be enabled for the account.",
  );
  console.log(`${kind} ${name}: created`);
}

/** Ids of the KV namespaces by their bindings. */
async function findOrCreateNamespaces(): Promise<Map<string, string>> {
  const ids = new Map<string, string>();
  for (const { binding, id: own } of config.kv_namespaces) {
    if (own !== undefined) continue;
    const title = namespaceTitle(config.name ?? "worker", binding);
    const find = async () =>
      namespaceId(await runWranglerOrExit(["kv", "namespace", "list", ...target], "Run this again."), title);
    const known = await find();
    if (known === null) {
      const advice = "The token needs the right to edit KV.";
      // Without the environment, which wrangler would put in front of the title.
      await runWranglerOrExit(["kv", "namespace", "create", title, "--update-config=false"], advice);
    }
    const id = known ?? (await find());
    if (id === null)
      throw new Error(`the account does not list the namespace ${title} that was just created`);
    console.log(`kv namespace ${title}: ${known === null ? "created" : "is there"}`);
    ids.set(binding, id);
  }
  return ids;
}

/** Wrangler wants the ids in its configuration, and the configuration where its paths begin. */
async function deployWith(namespaces: ReadonlyMap<string, string>): Promise<number> {
  const file = join(root, "wrangler.deploy.toml");
  const toml = readFileSync(join(root, "wrangler.toml"), "utf8");
  process.once("exit", () => rmSync(file, { force: true }));
  writeFileSync(file, withNamespaceIds(toml, values.env, namespaces));
  return deploy(["--config", file]);
}

/** All databases, one after the other: each has all tables. */
async function migrate(): Promise<void> {
  for (const { binding } of config.d1_databases) {
    const output = await runWranglerOrExit(
      ["d1", "migrations", "apply", binding, "--remote", ...target],
      "Nothing was deployed. A migration that failed was rolled back: correct it and run this again.",
    );
    const isNone = output.includes("No migrations to apply");
    console.log(`migrations of ${binding}: ${isNone ? "none to apply" : "applied"}`);
  }
}

/**
 * Deploys; with the first version goes API_KEY_SECRET, so that no version ever runs without one. It is the operator's:
 * `npm run key:create -- --remote` needs it again, and nobody can read it back from the account.
 */
async function deploy(configured: string[]): Promise<number> {
  const args = ["deploy", "--minify", ...configured, ...target];
  if (await hasSecret("API_KEY_SECRET")) {
    return waitForExit(startWrangler(args));
  }
  const secret = process.env.API_KEY_SECRET ?? "";
  if (secret.length < MIN_API_KEY_SECRET_CHARACTERS) {
    console.error(
      "The account has no API_KEY_SECRET yet, the pepper of all API keys. Make one, keep it where you keep secrets, and run this again:\n" +
        "  export API_KEY_SECRET=$(node -p 'crypto.randomBytes(32).toString(\"base64url\")')",
    );
    return 1;
  }
  const directory = mkdtempSync(join(tmpdir(), "secrets-"));
  const file = join(directory, "secrets.json");
  try {
    writeFileSync(file, JSON.stringify({ API_KEY_SECRET: secret }), {
      mode: 0o600,
    });
    return await waitForExit(startWrangler([...args, "--secrets-file", file]));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

// Only a clear no is a no: a secret replaced by mistake makes every API key that was ever issued worthless.
async function hasSecret(name: string): Promise<boolean> {
  const { exitCode, output } = await runWrangler(["secret", "list", ...target]);
  if (exitCode !== 0 && !/Worker ".*not found/.test(output)) {
    console.error(`${output}\nCannot tell whether ${name} is set, so nothing was deployed. Run this again.`);
    process.exit(exitCode);
  }
  return output.includes(`"${name}"`);
}
