import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { numbersOf, readOptions, urlOf } from "./options.ts";
import { CommandFault, detailOf, Service } from "./service.ts";

const USAGE = `
npm run spread -- --url https://features.example.com --key "$KEY" --tenant acme

  --tenant     whose entities are spread over more databases
  --databases  over how many; without it over all that are bound
  --url        the running service
  --key        an admin key of the tenant default; none is needed in development

The tenant can be read all the time, and written but for some seconds at the end. Run it again after an interruption: it
goes on from there. What has moved is removed from its old database an hour later, by the cron or when this is run again.`;

/** Another request may be going on with the same move, such as one that this command has given up. */
const CONFLICTS = 5;
const CONFLICT_WAIT_MS = 2_000;

const values = readOptions(USAGE, {
  tenant: { type: "string", default: "default" },
  databases: { type: "string" },
  url: { type: "string", default: "http://localhost:8787" },
  key: { type: "string" },
});
const databases = values.databases === undefined ? undefined : numbersOf(USAGE, values)("databases");
const service = new Service(urlOf(USAGE, values.url), values.key ?? null);
const path = `/api/v1/admin/tenants/${encodeURIComponent(values.tenant)}/spread`;

const spread = z.object({
  databases: z.int(),
  move: z
    .object({
      databases: z.int(),
      phase: z.string(),
      rows_copied: z.int(),
      cleaning_from: z.string().nullable(),
    })
    .nullable(),
});
type Spread = z.infer<typeof spread>;

try {
  await service.assertThere();
  await moveAll();
} catch (cause) {
  if (!(cause instanceof CommandFault)) throw cause;
  console.error(cause.message);
  process.exitCode = 1;
}

async function moveAll(): Promise<void> {
  for (let told = ""; ; ) {
    const { databases: now, move } = await goOn();
    const place = `${values.tenant}: over ${now} database${now === 1 ? "" : "s"}`;
    if (!move) return console.log(place);
    if (Date.parse(move.cleaning_from ?? "") > Date.now()) {
      return console.log(`${place}; what was left behind is removed from ${move.cleaning_from} on`);
    }
    const line = `${move.phase}, ${move.rows_copied} rows copied`;
    if (line !== told) console.log(line);
    told = line;
  }
}

async function goOn(): Promise<Spread> {
  for (let conflicts = 0; ; conflicts++) {
    const answer = await service.post(path, { databases });
    const found = spread.safeParse(answer.body);
    if (answer.status === 200 && found.success) return found.data;
    if (answer.status !== 409 || conflicts === CONFLICTS)
      throw new CommandFault(`POST ${path}: ${detailOf(answer)}`);
    await sleep(CONFLICT_WAIT_MS);
  }
}
