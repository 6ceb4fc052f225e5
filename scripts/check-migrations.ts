/** Whether the migrations make the tables of `worker/db/schema.ts`: generating again must add nothing. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { root } from "./wrangler.ts";

const directory = mkdtempSync(join(tmpdir(), "migrations-"));
process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
// The generator takes a relative path alone.
const own = join(root, "migrations");
cpSync(own, directory, { recursive: true });
const options = [
  "generate",
  "--dialect=sqlite",
  "--schema=worker/db/schema.ts",
  `--out=${relative(root, directory)}`,
];
const output = execFileSync(join(root, "node_modules/.bin/drizzle-kit"), options, {
  cwd: root,
  encoding: "utf8",
});
const added = readdirSync(directory).filter((name) => !readdirSync(own).includes(name));
if (added.length > 0) {
  console.error(`${output}\nmigrations/ lacks what worker/db/schema.ts has. Run: npm run db:generate`);
  process.exitCode = 1;
}
