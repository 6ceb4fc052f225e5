import { parseArgs } from "node:util";
import { makeAssets } from "./assets.ts";
import { migrateLocally } from "./local-migrations.ts";
import { faultOfNumber, MAX_PORT } from "./options.ts";
import { exitIfTaken, startWrangler, waitForAnswer, waitForExit, whenAskedToEnd } from "./wrangler.ts";

// All arguments are wrangler's; these are only looked at on their way through.
const args = process.argv.slice(2);
const { values } = parseArgs({
  args,
  strict: false,
  allowPositionals: true,
  options: {
    port: { type: "string" },
    "persist-to": { type: "string" },
    env: { type: "string", short: "e" },
  },
});
const port = text(values.port) ?? "8787";
const fault = faultOfNumber("port", port, { least: 1, most: MAX_PORT });
if (fault !== null) {
  console.error(fault);
  process.exit(1);
}

await exitIfTaken(Number(port));
makeAssets();
await migrateLocally(text(values["persist-to"]), text(values.env));

const wrangler = startWrangler(["dev", ...(values.port ? [] : ["--port", port]), ...args]);
whenAskedToEnd((signal) => wrangler.kill(signal));
let isOver = false;
const exit = waitForExit(wrangler).finally(() => {
  isOver = true;
});

const address = `http://localhost:${port}`;
if (await waitForAnswer(`${address}/health`, () => isOver)) {
  console.log(welcome(address));
}
process.exitCode = await exit;

function text(value: string | boolean | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function welcome(address: string): string {
  return `
  ready   ${address}
  docs    ${address}/docs
  pages   ${address}/ui

  write   curl -X POST ${address}/api/v1/items -H 'content-type: application/json' -d '{
            "metadata": {"source": "prediction_service"},
            "data": {"entity_type": "bright_uid", "entity_value": "user-123",
              "feature_list": [{"category": "user_features", "features": {"age": 30, "income": 60000}}]}}'

  read    curl '${address}/api/v1/get/item/user-123/user_features?entity_type=bright_uid'
`;
}
