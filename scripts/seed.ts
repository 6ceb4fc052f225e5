import { nowMicros } from "../worker/timestamps.ts";
import type { Outcomes } from "./items-batch.ts";
import { numbersOf, readOptions, urlOf } from "./options.ts";
import { Progress } from "./progress.ts";
import { readDefinitions } from "./seed/definitions.ts";
import { lastDays, userName } from "./seed/generate.ts";
import { createTenantKey, registerFeatures } from "./seed/prepare.ts";
import { writeSample } from "./seed/write-days.ts";
import { CommandFault, Service } from "./service.ts";

const USAGE = `
npm run seed -- --users 1000 --days 30

  --users        how many: user_0, user_1, …
  --days         of history for each, up to now
  --url          the running service
  --key          an admin key of the tenant default; none is needed in development. A key without the scope admin
                 writes for its own tenant: no tenant and no key are created then
  --tenant       the tenant that is created, with a key of the scopes read and write
  --seed         another number makes other values
  --concurrency  requests at a time

Run it again after an interruption, or a day later for the day that is new: every value has the same event time as
before, so what is there already stays as it is. With --key "$KEY" no further key is created.`;

const values = readOptions(USAGE, {
  users: { type: "string", default: "1000" },
  days: { type: "string", default: "30" },
  url: { type: "string", default: "http://localhost:8787" },
  key: { type: "string" },
  tenant: { type: "string", default: "tenant1" },
  seed: { type: "string", default: "1" },
  concurrency: { type: "string", default: "4" },
});
const number = numbersOf(USAGE, values);
const [users, days] = [number("users"), number("days")];
const [seed, concurrency] = [number("seed"), number("concurrency")];
const url = urlOf(USAGE, values.url);

try {
  await writeEverything();
} catch (cause) {
  if (!(cause instanceof CommandFault)) throw cause;
  console.error(`\n${cause.message}`);
  process.exitCode = 1;
}

async function writeEverything(): Promise<void> {
  const service = await asWriter(new Service(url, values.key ?? null));
  const anchor = await registerFeatures(service, readDefinitions());
  const progress = new Progress(users * days, "users' days");
  const outcomes = await writeSample(
    service,
    { seed, users, days: lastDays(anchor, nowMicros(), days) },
    { concurrency, written: (count) => progress.add(count) },
  );
  console.log(summary(outcomes, progress.seconds));
  console.log(firstRead());
}

async function asWriter(given: Service): Promise<Service> {
  await given.assertThere();
  const key = await createTenantKey(given, values.tenant);
  if (key === null) return given;
  // Alone on its line, to be copied or found: eval "$(npm run seed | grep '^export KEY=')".
  console.log(`A key of ${values.tenant} to read and write, shown this once:\n\nexport KEY=${key}\n`);
  return given.withKey(key);
}

function summary({ applied, stale, duplicate }: Outcomes, seconds: number): string {
  const perSecond = Math.round((users * days) / seconds);
  return `${users} users × ${days} days in ${seconds.toFixed(1)} s: ${perSecond} users' days a second.
Rows: ${applied} became current, ${stale} were older than that, ${duplicate} were current already.`;
}

function firstRead(): string {
  const body = {
    entity_id: userName(Math.min(123, users - 1)),
    feature_names: ["user_age", "user_lifetime_value", "last_purchase_days"],
  };
  return `
curl -X POST ${url}/api/v1/features/online \\
  -H "X-API-Key: $KEY" \\
  -H "Content-Type: application/json" \\
  -d '${JSON.stringify(body)}'

Or look at it: ${url}/ui, with the key pasted there.`;
}
