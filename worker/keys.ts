/**
 * Names of things outside D1: KV keys, files of the archive and Durable Objects. The tenant comes first in each but the
 * last, and no two things share one, because every part is percent-encoded and `/` never is left bare.
 *
 * | key | where | example | lifetime |
 * |---|---|---|---|
 * | `<tenant>/doc/<partitions>/<type>/<value>` | KV `HOT` | `default/doc/4/bright_uid/user-123` | `DOCUMENT_TTL_SECONDS` |
 * | `<tenant>/doc/<partitions>/<type>#<sha256>` | the same, for values too long for a KV key | | |
 * | `<tenant>/history/<day>/<sha256>.parquet` | R2 `ARCHIVE` | `default/history/2026-01-31/5f0c….parquet` | until its tenant is deleted |
 * | `<tenant>/training-sets/<id>/<file>` | the same | `default/training-sets/ts_5f0c…/00000-9b2e….parquet` | until it is deleted |
 * | `<tenant>/<partitions>/<partition>` | object `EntityWriter` | `default/4/2`, of the second database `default/4/6` | until its tenant is deleted, but for a note of that |
 * | `<tenant>/raw/<table>/<nonce>` | object `RawTable` | `default/raw/7/9b2e5f0c3c1e4a61` | the same, or its table |
 * | `<tenant>/raw/<table>` | the same, of a table that has no nonce | `default/raw/7` | |
 * | `<tenant>/<subscription>` | object `Subscriber` | `default/sub_5f0c…` | until it is deleted, but for a note of that |
 * | `<tenant>/stats` | object `FeatureStats` | `default/stats` | until its tenant is deleted |
 * | `all` | object `MetricsTotals` | | for ever |
 *
 * The number of partitions stands in the names of documents and writers, so that a document has exactly one writer for
 * as long as it lives: when `WRITER_PARTITIONS` changes, the documents of the old writers are simply no longer asked
 * for, and expire.
 */
import { sha256Of } from "./digests.ts";
import { KV_MAX_KEY_BYTES } from "./limits.ts";

export interface EntityRef {
  entityType: string;
  entityValue: string;
}

/** What `encodeURIComponent` leaves as it is. */
const PLAIN = /^[\w.!~*'()-]*$/;

/** Nearly every name is plain, and seeing that is faster than encoding it. */
function encoded(name: string): string {
  return PLAIN.test(name) ? name : encodeURIComponent(name);
}

/** `<type>/<value>`, encoded: unique within a tenant. */
export function entityKey({ entityType, entityValue }: EntityRef): string {
  return `${encoded(entityType)}/${encoded(entityValue)}`;
}

export function entityRef(key: string): EntityRef {
  const slash = key.indexOf("/");
  return {
    entityType: decodeURIComponent(key.slice(0, slash)),
    entityValue: decodeURIComponent(key.slice(slash + 1)),
  };
}

/** The KV key of an entity's document. */
export function documentKey(tenant: string, partitions: number, ref: EntityRef): string {
  const prefix = `${encoded(tenant)}/doc/${partitions}/`;
  const key = prefix + entityKey(ref);
  // Percent-encoded text is ASCII: its length is its bytes.
  return key.length <= KV_MAX_KEY_BYTES ? key : hashedKey(prefix, ref);
}

function hashedKey(prefix: string, ref: EntityRef): string {
  // An entity type is at most 512 characters, a plain name: shortened here, the digest covers all of it.
  return `${prefix}${encodeURIComponent(ref.entityType).slice(0, 128)}#${sha256Of(entityKey(ref))}`;
}

/** Of all KV keys and files of a tenant. */
export const tenantPrefix = (tenant: string): string => `${encoded(tenant)}/`;

/** The name of an archive file: by the day on which it was made, and its content. */
export function archiveKey(tenant: string, day: string, digest: string): string {
  return `${encoded(tenant)}/history/${day}/${digest}.parquet`;
}

/** The prefix of the names of all files of a training set. */
export function trainingSetPrefix(tenant: string, trainingSetId: string): string {
  return `${encoded(tenant)}/training-sets/${encoded(trainingSetId)}/`;
}

/** Over what the entities of a tenant are spread. */
export interface Layout {
  /** See `tenants/spread.ts`. */
  databases: number;
  /** Writers of each database. */
  partitions: number;
}

/**
 * Which of a tenant's writers owns an entity. Those of the first database come first, then those of the second: each writes
 * to one database alone.
 */
export function partitionOf(ref: EntityRef, { databases, partitions }: Layout): number {
  const hash = fnv1a(entityKey(ref));
  return bucketOf(hash, databases) * partitions + (hash % partitions);
}

/** The database of a writer's entities, the first of the tenant's is 0. */
export function databaseOfPartition(partition: number, partitions: number): number {
  return Math.floor(partition / partitions);
}

/** In which of a tenant's databases an entity is, from 0; for ever. */
export function databaseOf(ref: EntityRef, databases: number): number {
  return databases === 1 ? 0 : bucketOf(fnv1a(entityKey(ref)), databases);
}

/**
 * Jump consistent hash (Lamping and Veach, 2014, arXiv:1406.2294): a bucket from 0 for a hash, such that one bucket more
 * takes its share from all others, and nothing moves between those.
 */
export function bucketOf(hash: number, buckets: number): number {
  if (buckets === 1) return 0;
  let state = BigInt(hash);
  let bucket = 0;
  for (let next = 0; next < buckets; ) {
    bucket = next;
    state = BigInt.asUintN(64, state * 2862933555777941757n + 1n);
    next = Math.floor((bucket + 1) * (2 ** 31 / (Number(state >> 33n) + 1)));
  }
  return bucket;
}

/** 32-bit FNV-1a over UTF-16 code units (http://www.isthe.com/chongo/tech/comp/fnv/). */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}

export function writerName(tenant: string, partitions: number, partition: number): string {
  return `${encoded(tenant)}/${partitions}/${partition}`;
}

/** A raw table, by its id and what no other table of that id has. */
export interface RawTableRef {
  tableId: number;
  objectNonce: string | null;
}

/** The object that holds the rows of a raw table. */
export function rawTableName(tenant: string, { tableId, objectNonce }: RawTableRef): string {
  const name = `${encoded(tenant)}/raw/${tableId}`;
  return objectNonce === null ? name : `${name}/${objectNonce}`;
}

/** The object that delivers for a subscription. */
export function subscriberName(tenant: string, subscriptionId: string): string {
  return `${encoded(tenant)}/${subscriptionId}`;
}

/** The object that holds a tenant's statistics. */
export function statsName(tenant: string): string {
  return `${encoded(tenant)}/stats`;
}

/** The one object in which the metrics add up: each isolate sends it a few numbers every second or two. */
export const TOTALS_NAME = "all";
