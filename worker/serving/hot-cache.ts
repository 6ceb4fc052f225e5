/** The hot cache's documents, as readers get them. */
import type { RequestContext } from "../http/context.ts";
import {
  KV_BULK_READS_AT_ONCE,
  KV_CACHE_TTL_SECONDS,
  KV_MAX_BULK_KEYS,
  MAX_ENTITIES_BYTES,
} from "../limits.ts";
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
 * @throws when KV fails, {@link TooMuchCached} when the values of all documents have more than `mostCharacters`.
 */
export async function getDocuments(
  { env }: Pick<RequestContext, "env">,
  sink: OperationSink | undefined,
  keys: readonly string[],
  mostCharacters = Number.POSITIVE_INFINITY,
): Promise<Map<string, EntityDocument | null>> {
  const documents = new Map<string, EntityDocument | null>();
  let [characters, found] = [0, 0];
  const note = (key: string, text: string | null) => {
    const document = text === null ? null : decodeKnown(text, isolateMemory.last(key, Date.now()));
    documents.set(key, document);
    if (document) found += 1;
    for (const { data, eventTimes } of document?.categories.values() ?? []) {
      characters += data.length + (eventTimes?.length ?? 0);
    }
  };
  const [only] = keys;
  if (only !== undefined && keys.length === 1) {
    const get = () => env.HOT.get(only, OPTIONS);
    note(only, await timed(sink, { operation: "kv.get", items: 1 }, get));
    return documents;
  }
  let atOnce = 1;
  for (let start = 0; start < keys.length; ) {
    const end = Math.min(start + atOnce * KV_MAX_BULK_KEYS, keys.length);
    for (const texts of await getChunks(env.HOT, sink, keys.slice(start, end))) {
      for (const [key, text] of texts) note(key, text);
    }
    if (characters > mostCharacters) throw new TooMuchCached();
    start = end;
    atOnce = mayTakeMore({ characters, found }) ? KV_BULK_READS_AT_ONCE : 1;
  }
  return documents;
}

export class TooMuchCached extends Error {}

function getChunks(
  kv: KVNamespace,
  sink: OperationSink | undefined,
  keys: readonly string[],
): Promise<Map<string, string | null>[]> {
  const chunks = Array.from({ length: Math.ceil(keys.length / KV_MAX_BULK_KEYS) }, (_, i) =>
    keys.slice(i * KV_MAX_BULK_KEYS, (i + 1) * KV_MAX_BULK_KEYS),
  );
  const get = (chunk: string[]) =>
    timed(sink, { operation: "kv.get", items: chunk.length }, () => kv.get(chunk, OPTIONS));
  return Promise.all(chunks.map(get));
}

/**
 * Whether there may be as many more as are read at once. Nobody knows how large documents are before they are there: those
 * that were found tell what to expect of the others.
 */
const mayTakeMore = ({ characters, found }: { characters: number; found: number }) =>
  found > 0 && KV_BULK_READS_AT_ONCE * KV_MAX_BULK_KEYS * characters <= found * MAX_ENTITIES_BYTES;
