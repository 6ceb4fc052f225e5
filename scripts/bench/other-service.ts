/** The service once more, with another setting: what a setting gains or costs. */
import type { Headers } from "./data.ts";
import { entityRows, newKey, writeRows } from "./fill.ts";
import { migrate, type Server, startServer } from "./servers.ts";
import type { Setting } from "./setting.ts";

export interface OtherService {
  /** Names its state. */
  name: string;
  vars: Record<string, string>;
  /** Written before it is asked for the first time. */
  entities: number;
}

export interface Started {
  server: Server;
  headers: Headers;
}

const started = new Map<string, Promise<Started>>();

/** Started once, for all rows that measure it; it ends with the bench. */
export function otherService(setting: Setting, other: OtherService): Promise<Started> {
  const known = started.get(other.name) ?? start(setting, other);
  started.set(other.name, known);
  return known;
}

async function start({ directory, seed }: Setting, { name, vars, entities }: OtherService): Promise<Started> {
  await migrate("service", directory, name);
  const server = await startServer("service", directory, { name, vars });
  const headers = await newKey(server);
  await writeRows(server, entityRows(seed, entities), { headers });
  return { server, headers };
}
