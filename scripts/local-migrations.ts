/**
 * Migrations of the local databases, all in one runtime: `wrangler d1 migrations apply` starts one for each file, which would
 * be most of what a first `npm run dev` takes. Database and journal are wrangler's own.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import {
  unstable_getMiniflareWorkerOptions as readWorkerOptions,
  unstable_splitSqlQuery as splitSql,
} from "wrangler";
import { localDatabases } from "./local-databases.ts";
import { root } from "./wrangler.ts";

const DIRECTORY = join(root, "migrations");
const JOURNAL = `CREATE TABLE IF NOT EXISTS d1_migrations(
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)`;

/**
 * Applies to each database of the environment what it lacks. Where a migration fails, says so and ends this process.
 *
 * @param state As `--persist-to` of `wrangler dev`.
 * @param databases How many there are at least, though wrangler.toml names fewer.
 */
export async function migrateLocally(
  state = join(root, ".wrangler/state"),
  env: string | undefined = undefined,
  databases = 1,
): Promise<void> {
  const { workerOptions } = readWorkerOptions(join(root, "wrangler.toml"), env);
  const d1Databases = localDatabases(workerOptions.d1Databases, databases);
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      resourcePersistencePath: join(resolve(root, state), "v3"),
      cf: false,
      workers: [{ name: "migrations", modules: true, script: "export default {}", d1Databases }],
    }),
  );
  try {
    for (const binding of Object.keys(d1Databases)) {
      await migrate((await miniflare.getD1Database(binding)) as unknown as D1Database, binding);
    }
  } catch (cause) {
    const advice = `Correct the migration, or delete ${state} to begin with an empty database.`;
    console.error(`${cause instanceof Error ? cause.message : cause}\n${advice}`);
    process.exitCode = 1;
    await miniflare.dispose();
    process.exit(1);
  }
  await miniflare.dispose();
}

async function migrate(db: D1Database, binding: string): Promise<void> {
  await db.prepare(JOURNAL).run();
  const { results } = await db.prepare("SELECT name FROM d1_migrations").all<{ name: string }>();
  const applied = new Set(results.map(({ name }) => name));
  const files = readdirSync(DIRECTORY).filter((name) => name.endsWith(".sql"));
  for (const name of files.toSorted()) {
    if (applied.has(name)) continue;
    const statements = splitSql(readFileSync(join(DIRECTORY, name), "utf8"));
    // All of it or nothing, and the journal knows which.
    const note = db.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name);
    await db.batch([...statements.map((sql) => db.prepare(sql)), note]).catch((cause: unknown) => {
      throw new Error(`${name} could not be applied to ${binding}: ${cause}`);
    });
  }
}
