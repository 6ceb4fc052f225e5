import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { root } from "./wrangler.ts";

const packageFiles = [
  "swagger-ui-dist/swagger-ui-bundle.js",
  "swagger-ui-dist/swagger-ui.css",
  "swagger-ui-dist/favicon-16x16.png",
  "swagger-ui-dist/favicon-32x32.png",
  "redoc/bundles/redoc.standalone.js",
  // The first line of redoc.standalone.js points to it.
  "redoc/bundles/redoc.standalone.js.LICENSE.txt",
];

/** Everything that the Worker serves as a file. */
export function makeAssets(): void {
  copyFromPackages();
  buildCatalog();
}

/** The script and the styles of `/ui`, served at `/ui/<file>`. */
function buildCatalog(): void {
  const directory = join(root, "dist/assets/ui");
  mkdirSync(directory, { recursive: true });
  const { outputFiles } = buildSync({
    entryPoints: [join(root, "worker/ui/browser/app.tsx"), join(root, "worker/ui/browser/app.css")],
    outdir: directory,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2024",
    write: false,
  });
  for (const { path, contents } of outputFiles) {
    // A file that is written anew has every `wrangler dev` that runs here start again, and forget its queues.
    if (!existsSync(path) || !readFileSync(path).equals(contents)) writeFileSync(path, contents);
  }
}

/** Copies the pages' scripts and styles out of their npm packages, to be served at `/docs/<file>`. */
function copyFromPackages(): void {
  const directory = join(root, "dist/assets/docs");
  mkdirSync(directory, { recursive: true });
  for (const file of packageFiles) {
    const source = fileURLToPath(import.meta.resolve(file));
    const target = join(directory, basename(file));
    if (!sameContents(source, target)) {
      copyFileSync(source, target);
    }
  }
}

// By contents: npm gives every file of every version the same modification time.
function sameContents(source: string, target: string): boolean {
  return existsSync(target) && readFileSync(target).equals(readFileSync(source));
}

if (import.meta.main) {
  makeAssets();
}
