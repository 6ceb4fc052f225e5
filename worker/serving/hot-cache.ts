/** The hot cache's documents, as readers get them. */
import type { RequestContext } from "../http/context.ts";
import { KV_CACHE_TTL_SECONDS, KV_MAX_BULK_KEYS } from "../limits.ts";
import type { OperationSink } from "../monitoring/request-metrics.ts";
import { timed } from "../monitoring/timed.ts";
import { decodeKnown, type EntityDocument } from "./document.ts";
import { isolateMemory } from "./memory.ts";

/** A miss is cached by KV as long as a hit: the shortest time that it takes. */
const OPTIONS = { type: "text", cacheTtl: KV_CACHE_TTL_SECONDS } as const;

/**
 * Documents by their keys; null where KV has none of this form.
 *
 * @param sink Counts the operations.
 * @throws when KV fails.
 */
export async function getDocuments(
  { env }: Pick<RequestContext, "env">,
  sink: OperationSink | undefined,
  keys: readonly string[],
): Promise<Map<string, EntityDocument | null>> {
  const documents = new Map<string, EntityDocument | null>();
  const note = (key: string, text: string | null) =>
    documents.set(key, text === null ? null : decodeKnown(text, isolateMemory.last(key, Date.now())));
  const [only] = keys;
  if (only !== undefined && keys.length === 1) {
    const get = () => env.HOT.get(only, OPTIONS);
    note(only, await timed(sink, { operation: "kv.get", items: 1 }, get));
    return documents;
  }
  const chunks = Array.from({ length: Math.ceil(keys.length / KV_MAX_BULK_KEYS) }, (_, i) =>
    keys.slice(i * KV_MAX_BULK_KEYS, (i + 1) * KV_MAX_BULK_KEYS),
  );
  const found = await Promise.all(
    chunks.map((chunk) =>
      timed(sink, { operation: "kv.get", items: chunk.length }, () => env.HOT.get(chunk, OPTIONS)),
    ),
  );
  for (const texts of found) for (const [key, text] of texts) note(key, text);
  return documents;
}
