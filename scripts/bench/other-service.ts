/** The service once more, with another setting: what a setting gains or costs. */
import type { Headers } from "./data.ts";
import { entityRows, newKey, writeRows } from "./fill.ts";
import { migrate, type Server, startServer } from "./servers.ts";
import type { Setting } from "./setting.ts";

export interface OtherService {
  /** Names its state. */
  name: string;
  vars: Record<string, string>;
  /** Written before `use`. */
  entities: number;
}

export async function withOtherService<T>(
  { directory, seed }: Setting,
  { name, vars, entities }: OtherService,
  use: (server: Server, headers: Headers) => Promise<T>,
): Promise<T> {
  await migrate("service", directory, name);
  const server = await startServer("service", directory, { name, vars });
  try {
    const headers = await newKey(server);
    await writeRows(server, entityRows(seed, entities), { headers });
    return await use(server, headers);
  } finally {
    await server.end();
  }
}
