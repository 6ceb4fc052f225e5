/** Puts the entities where they are measured. */
import { randomOf } from "../random.ts";
import { CATEGORIES, entityBody, type Headers, metadata } from "./data.ts";
import type { Server } from "./servers.ts";

const ROWS_PER_REQUEST = 200;
const REQUESTS_AT_A_TIME = 3;
/** A machine too slow for all of them is measured with those that are there by then. */
export const MAX_FILL_MS = 60_000;
const MAX_ATTEMPTS = 30;
const RETRY_MS = 500;

/** A key to write and read with: requests are authorised as anywhere outside development. */
export async function newKey({ url }: Server): Promise<Headers> {
  const response = await fetch(`${url}/api/v1/admin/tenants/default/keys`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "bench", scopes: ["read", "write"] }),
  });
  if (!response.ok) throw new Error(`no key was made: ${response.status} ${await response.text()}`);
  const { key } = (await response.json()) as { key: string };
  return { "x-api-key": key };
}

/**
 * Writes rows, many a request, in order, within the time.
 *
 * @returns how many were written: fewer than there are when the time was over.
 */
export async function writeRows(
  server: Server,
  rows: readonly object[],
  {
    headers,
    path = "/api/v1/items/batch",
    maxMs = MAX_FILL_MS,
  }: { headers: Headers; path?: string; maxMs?: number },
): Promise<number> {
  const untilMs = performance.now() + maxMs;
  let [next, written] = [0, 0];
  const work = async () => {
    while (next < rows.length && performance.now() < untilMs) {
      const chunk = rows.slice(next, next + ROWS_PER_REQUEST);
      next += chunk.length;
      await post(server.url + path, { metadata, data: chunk }, headers);
      written += chunk.length;
    }
  };
  await Promise.all(Array.from({ length: REQUESTS_AT_A_TIME }, work));
  return written;
}

export function entityRows(seed: number, count: number): object[] {
  const random = randomOf(seed);
  return Array.from({ length: count }, (_, position) => entityBody(random, position));
}

/** Entities with as many events each as `events` says, a minute apart, the last one an hour ago. */
export function pastRows(
  seed: number,
  { name, entities, events }: { name: string; entities: number; events: number },
): object[] {
  const random = randomOf(seed);
  const lastMs = Date.now() - 3_600_000;
  return Array.from({ length: events }, (_, age) => age).flatMap((age) =>
    Array.from({ length: entities }, (_, i) => ({
      entity_type: "bright_uid",
      entity_value: `${name}-${i}`,
      feature_list: CATEGORIES.map((category) => ({
        category,
        event_timestamp: new Date(lastMs - (events - age) * 60_000).toISOString(),
        features: { value: Math.round(random() * 1e6), other: random() },
      })),
    })),
  );
}

/** A busy store answers 503, and is asked again. */
async function post(url: string, body: object, headers: Headers): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (response.ok) return;
    if (response.status !== 503 || attempt === MAX_ATTEMPTS)
      throw new Error(`${url}: ${response.status} ${text}`);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
