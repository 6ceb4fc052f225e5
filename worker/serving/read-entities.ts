/**
 * Reading entities: memory, else KV, else D1. All of the read path is in this file, in that order; how D1 is asked is in
 * `read-from-d1.ts`. What is read all the time stays in memory by `renewals.ts`.
 *
 * Whatever their number: KV bulk reads of 100 keys each, then one round trip to D1 for all that is still missing: to each
 * of its databases, where the tenant has several. A cache that fails is a miss; only what D1 alone can answer fails with D1.
 */
import { entitiesTooLarge } from "../http/answer-size.ts";
import type { RequestContext } from "../http/context.ts";
import { type EntityRef, entityKey } from "../keys.ts";
import { MAX_ENTITIES_BYTES } from "../limits.ts";
import type { Tier } from "../monitoring/metric-record.ts";
import { spreadBesideCatalog } from "../tenants/spread.ts";
import { FETCH_LOOK_MS, FETCH_WAIT_MS } from "../timings.ts";
import { sleep } from "../waits.ts";
import {
  both,
  type Consistency,
  type ConsistencyToken,
  type Requirement,
  requirementOf,
} from "./consistency.ts";
import { type EntityDocument, haveMoreBytes } from "./document.ts";
import { documentKeyOf, documentKeys } from "./document-keys.ts";
import { askForFills } from "./fills.ts";
import { getDocuments, TooMuchCached } from "./hot-cache.ts";
import { isolateMemory as memory } from "./memory.ts";
import { readFromD1 } from "./read-from-d1.ts";
import { renewDue } from "./renewals.ts";

export interface ReadContext extends RequestContext {
  consistency: Consistency;
  token: ConsistencyToken | null;
}

export interface EntityRead {
  /** Null when the entity has no category. */
  document: EntityDocument | null;
  /** 0 when it was never written; that of its tombstone when it was deleted. */
  revision: number;
  source: Tier;
}

const NOTHING: EntityRead = { document: null, revision: 0, source: "d1" };

export interface Wanted {
  ref: EntityRef;
  key: string;
  requirement: Requirement;
}

/** @throws Problem 503 when D1 is needed and does not answer. */
export async function readEntity(context: ReadContext, ref: EntityRef): Promise<EntityRead> {
  const wanted = want(context, ref, documentKeyOf(context, ref));
  const remembered = fromMemory(context, wanted, context.nowMs);
  renewDue(context);
  const [read = NOTHING] = remembered ? [remembered] : await readMissing(context, [wanted]);
  context.metrics?.about(ref.entityType, 1);
  context.metrics?.read(read.source);
  return read;
}

/**
 * Reads any number of entities; the same one may be asked for several times.
 *
 * @returns in the order of `refs`.
 * @throws Problem 422 when they are too large to be read together, 503 when D1 is needed and does not answer.
 */
export async function readEntities(context: ReadContext, refs: readonly EntityRef[]): Promise<EntityRead[]> {
  const keys = documentKeys(context, refs);
  const reads = new Map<string, EntityRead>();
  const missing = new Map<string, Wanted>();
  refs.forEach((ref, position) => {
    const key = keys[position] ?? "";
    if (reads.has(key) || missing.has(key)) return;
    const wanted = want(context, ref, key);
    const remembered = fromMemory(context, wanted, context.nowMs);
    if (remembered) reads.set(key, remembered);
    else missing.set(key, wanted);
  });
  renewDue(context);
  const rest = [...missing.values()];
  const found = rest.length > 0 ? await readMissing(context, rest) : [];
  rest.forEach(({ key }, position) => {
    const read = found[position];
    if (read) reads.set(key, read);
  });
  // Refused whether or not they were cached: the same request must not succeed at one time and fail at another.
  const documents = [...reads.values()].flatMap(({ document }) => document ?? []);
  if (documents.length > 1 && haveMoreBytes(documents, MAX_ENTITIES_BYTES)) throw entitiesTooLarge();
  context.metrics?.about(refs[0]?.entityType ?? "", refs.length);
  for (const { source } of reads.values()) context.metrics?.read(source);
  return keys.map((key) => reads.get(key) ?? NOTHING);
}

/** What a read of these entities has to satisfy, wherever it looks: what the caller asks for, and what this isolate has written. */
export function requirementsOf(
  context: ReadContext,
  refs: readonly EntityRef[],
): Pick<Wanted, "ref" | "requirement">[] {
  const keys = documentKeys(context, refs);
  return refs.map((ref, position) => want(context, ref, keys[position] ?? ""));
}

function want({ consistency, token, nowMs }: ReadContext, ref: EntityRef, key: string): Wanted {
  const asked = requirementOf(consistency, token, consistency === "session" ? entityKey(ref) : "");
  const own = memory.requirement(key, nowMs);
  return { ref, key, requirement: both(asked, own) };
}

function fromMemory(
  { settings }: ReadContext,
  { key, requirement }: Wanted,
  nowMs: number,
): EntityRead | null {
  if (settings.memoryTtlMs === 0 || requirement.kind === "database") return null;
  const document = memory.get(key, nowMs);
  if (!document || document.revision < requirement.revision) return null;
  return { document, revision: document.revision, source: "memory" };
}

/**
 * Reads what is not in memory, in the order of `wanted`. When the time of a remembered document is over, many readers miss
 * it at once: one of them fetches it, and the others wait until it is there again.
 */
async function readMissing(context: ReadContext, wanted: readonly Wanted[]): Promise<EntityRead[]> {
  const { settings, nowMs } = context;
  const isShared = ({ requirement }: Wanted) => settings.memoryTtlMs > 0 && requirement.kind === "revision";
  const { own = [], others = [] } = Object.groupBy(wanted, (one) =>
    isShared(one) && !memory.mayFetch(one.key, nowMs) ? "others" : "own",
  );
  const reads = new Map<string, EntityRead>();
  const readOwn = async (some: readonly Wanted[]) => {
    const found = some.length > 0 ? await readAll(context, some) : [];
    for (const [i, { key }] of some.entries()) reads.set(key, found[i] ?? NOTHING);
  };
  try {
    await readOwn(own);
  } finally {
    for (const { key } of own.filter(isShared)) memory.fetched(key);
  }
  await readOwn(await awaitOthers(context, others, reads));
  return wanted.map(({ key }) => reads.get(key) ?? NOTHING);
}

/** Puts what other readers bring into memory into `reads`; answers what none of them brought in time. */
async function awaitOthers(
  context: ReadContext,
  others: readonly Wanted[],
  reads: Map<string, EntityRead>,
): Promise<readonly Wanted[]> {
  const notBrought: Wanted[] = [];
  let waiting = others;
  for (let pauseMs = FETCH_LOOK_MS; waiting.length > 0; pauseMs *= 2) {
    await sleep(pauseMs);
    const nowMs = Date.now();
    const isOver = nowMs - context.nowMs >= FETCH_WAIT_MS;
    waiting = waiting.filter((one) => {
      if (!isOver && memory.isFetched(one.key, nowMs)) return true;
      const read = fromMemory(context, one, nowMs);
      if (read) reads.set(one.key, read);
      else notBrought.push(one);
      return false;
    });
  }
  return notBrought;
}

/** KV, else D1. In the order of `wanted`. */
async function readAll(context: ReadContext, wanted: readonly Wanted[]): Promise<EntityRead[]> {
  const documents = await readFromKv(
    context,
    wanted.filter(({ requirement }) => requirement.kind === "revision"),
  );
  const reads = new Map<string, EntityRead>();
  for (const { key, requirement } of wanted) {
    const document = documents.get(key);
    const isFreshEnough =
      requirement.kind === "revision" && document && document.revision >= requirement.revision;
    if (isFreshEnough) reads.set(key, { document, revision: document.revision, source: "kv" });
  }
  const missing = wanted.filter(({ key }) => !reads.has(key));
  const databases = missing.length > 0 ? await spreadBesideCatalog(context, context.tenant) : 1;
  const found = missing.length > 0 ? await readFromD1(context, missing, databases) : [];
  missing.forEach(({ key }, position) => {
    const read = found[position];
    if (read) reads.set(key, read);
  });
  // Asked for only when KV itself said that there is none, and D1 that there is an entity.
  const unfilled = missing.filter(({ key }) => documents.get(key) === null && reads.get(key)?.document);
  askForFills(
    context,
    unfilled.filter(({ key }) => memory.mayAskFill(key, context.nowMs)).map(({ ref }) => ref),
    databases,
  );
  // From now, not from when the request began: under load that may be longer ago than memory lasts.
  const lasts = { nowMs: Date.now(), ttlMs: context.settings.memoryTtlMs };
  return wanted.map(({ key }) => {
    const read = reads.get(key) ?? NOTHING;
    if (read.document) memory.put(key, read.document, lasts);
    else memory.dropDocument(key);
    return read;
  });
}

/** A document, null where KV has none of this form; no entry where KV was not asked or failed. */
async function readFromKv(
  context: ReadContext,
  wanted: readonly Wanted[],
): Promise<Map<string, EntityDocument | null>> {
  if (wanted.length === 0) return new Map();
  try {
    return await getDocuments(
      context,
      context.metrics,
      wanted.map(({ key }) => key),
      MAX_ENTITIES_BYTES,
    );
  } catch (cause) {
    if (cause instanceof TooMuchCached) throw entitiesTooLarge();
    context.log.warning("hot cache did not answer, reading D1", { keys: wanted.length }, cause);
    return new Map();
  }
}
