/** Builds and migrates a state, of which the directory is given. A process of its own: vitest has no `import.meta.resolve`. */
import { join } from "node:path";
import { migrateLocally } from "../../scripts/local-migrations.ts";
import { buildBundle } from "../../scripts/wrangler.ts";

/** More than one: some services have a second. */
const DATABASES = 2;

const [state = ""] = process.argv.slice(2);
await Promise.all([buildBundle(join(state, "bundle")), migrateLocally(state, undefined, DATABASES)]);
