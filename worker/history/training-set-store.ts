/**
 * Training sets: what is known of each in D1, what it asks for and its files in the archive's bucket. Every query
 * names the tenant.
 */
import { and, desc, eq, inArray, ne, type SQL, sql } from "drizzle-orm";
import * as z from "zod";
import { type Inserted, insertOnce, isBelow, type Once } from "../db/insert-once.ts";
import { primary } from "../db/primary.ts";
import { trainingSets } from "../db/schema.ts";
import { trainingSetPrefix } from "../keys.ts";
import { MAX_TRAINING_SETS_PER_TENANT } from "../limits.ts";
import { type Micros, nowMicros } from "../timestamps.ts";
import { TRAINING_SETS_PER_CLEANING } from "../timings.ts";
import { COLUMN_TYPES, PARQUET_TYPE } from "./parquet-file.ts";
import { removeSomeFiles } from "./remove-files.ts";
import type { AskedRows } from "./training-request.ts";
import type { SetChange, TrainingSet } from "./training-set.ts";

type Row = typeof trainingSets.$inferSelect;

export type TrainingSetKey = Pick<TrainingSet, "tenantId" | "trainingSetId">;

const storedNames = z.array(z.string());
const storedFiles = z.array(
  z.object({ name: z.string(), rows: z.int(), bytes: z.int(), isStale: z.boolean() }),
);
const storedTypes = z.array(z.enum(COLUMN_TYPES).nullable());

function toTrainingSet(row: Row): TrainingSet {
  return {
    ...row,
    featureNames: storedNames.parse(JSON.parse(row.featureNames)),
    files: storedFiles.parse(JSON.parse(row.files)),
    types: storedTypes.parse(JSON.parse(row.types)),
  };
}

/** Refused where the tenant has as many as it may. */
export function insertTrainingSet(db: D1Database, set: TrainingSet, once: Once | null): Promise<Inserted> {
  const { featureNames, files, types } = set;
  const row: Row = {
    ...set,
    featureNames: JSON.stringify(featureNames),
    files: JSON.stringify(files),
    types: JSON.stringify(types),
  };
  const may = isBelow(trainingSets, row.tenantId, MAX_TRAINING_SETS_PER_TENANT);
  return insertOnce(db, trainingSets, { row, may }, once);
}

function isThis({ tenantId, trainingSetId }: TrainingSetKey): SQL | undefined {
  return and(eq(trainingSets.tenantId, tenantId), eq(trainingSets.trainingSetId, trainingSetId));
}

/** @returns null for one that is being deleted, too. */
export async function findTrainingSet(db: D1Database, key: TrainingSetKey): Promise<TrainingSet | null> {
  const [row] = await primary(db)
    .select()
    .from(trainingSets)
    .where(and(isThis(key), ne(trainingSets.status, "deleting")));
  return row ? toTrainingSet(row) : null;
}

/** All of a tenant, which are not many; the newest first. */
export async function selectTrainingSets(db: D1Database, tenantId: string): Promise<TrainingSet[]> {
  const rows = await primary(db)
    .select()
    .from(trainingSets)
    .where(and(eq(trainingSets.tenantId, tenantId), ne(trainingSets.status, "deleting")))
    .orderBy(desc(trainingSets.createdAt), desc(trainingSets.trainingSetId));
  return rows.map(toTrainingSet);
}

const isUnderWay = inArray(trainingSets.status, ["queued", "running"]);
const later = () => sql`max(${nowMicros()}, ${trainingSets.updatedAt} + 1)`;

/**
 * Notes that another try begins, before anything that may fail.
 *
 * @returns the number of this try, from 1; null when nothing is left to do.
 */
export async function beginTry(db: D1Database, key: TrainingSetKey): Promise<number | null> {
  const [begun] = await primary(db)
    .update(trainingSets)
    .set({ tries: sql`${trainingSets.tries} + 1`, updatedAt: later() })
    .where(and(isThis(key), isUnderWay))
    .returning({ tries: trainingSets.tries });
  return begun?.tries ?? null;
}

/** @returns whether nobody else has touched it since: of many that want to wake it one does. */
export async function touchTrainingSet(db: D1Database, found: TrainingSet): Promise<boolean> {
  const touched = await primary(db)
    .update(trainingSets)
    .set({ updatedAt: later() })
    .where(and(isThis(found), isUnderWay, eq(trainingSets.updatedAt, found.updatedAt)))
    .returning({ id: trainingSets.trainingSetId });
  return touched.length > 0;
}

/**
 * Notes what became of a step, if the set is as the step has found it: of two that write the same file one goes on.
 *
 * @returns false when it has moved on, or goes.
 */
export async function changeTrainingSet(
  db: D1Database,
  found: TrainingSet,
  { files, types, ...plain }: SetChange,
): Promise<boolean> {
  const changed = await primary(db)
    .update(trainingSets)
    .set({
      ...plain,
      ...(files && { files: JSON.stringify(files) }),
      ...(types && { types: JSON.stringify(types) }),
      step: found.step + 1,
      tries: 0,
      updatedAt: later(),
    })
    .where(and(isThis(found), isUnderWay, eq(trainingSets.step, found.step)))
    .returning({ id: trainingSets.trainingSetId });
  return changed.length > 0;
}

/** From now on nobody sees it, and no step of it is noted. @returns whether there was one. */
export async function hideTrainingSet(db: D1Database, key: TrainingSetKey): Promise<boolean> {
  const hidden = await primary(db)
    .update(trainingSets)
    .set({ status: "deleting" })
    .where(isThis(key))
    .returning({ id: trainingSets.trainingSetId });
  return hidden.length > 0;
}

/** Some of all tenants that were hidden and are not gone. */
export function hiddenTrainingSets(db: D1Database): Promise<TrainingSetKey[]> {
  const { tenantId, trainingSetId, status } = trainingSets;
  return primary(db)
    .select({ tenantId, trainingSetId })
    .from(trainingSets)
    .where(eq(status, "deleting"))
    .limit(TRAINING_SETS_PER_CLEANING);
}

export async function forgetTrainingSet(db: D1Database, key: TrainingSetKey): Promise<void> {
  await primary(db).delete(trainingSets).where(isThis(key));
}

const REQUEST = "request.json";
const fileKey = ({ tenantId, trainingSetId }: TrainingSetKey, name: string) =>
  trainingSetPrefix(tenantId, trainingSetId) + name;

/** `00000-5f0c….parquet`: in the order of their names the files are in the order of the rows. */
export const newFileName = (position: number) =>
  `${String(position).padStart(5, "0")}-${crypto.randomUUID()}.parquet`;

export async function hasRequest(bucket: R2Bucket, key: TrainingSetKey): Promise<boolean> {
  return (await bucket.head(fileKey(key, REQUEST))) !== null;
}

/** The first that is put stays: files may have been written of it. */
export async function putRequest(bucket: R2Bucket, key: TrainingSetKey, asked: AskedRows): Promise<void> {
  const { entityType, columns, rows } = asked;
  const text = JSON.stringify({
    entityType,
    columns: columns.map((column) => {
      const { asked, category, stored, version, ttlSeconds } = column;
      return { asked, category, stored, version, ttlSeconds };
    }),
    rows: rows.map(({ entityId, at }) => [entityId, at]),
  });
  await bucket.put(fileKey(key, REQUEST), text, { onlyIf: { etagDoesNotMatch: "*" } });
}

/** @returns null when there is none. */
export async function getRequest(bucket: R2Bucket, key: TrainingSetKey): Promise<AskedRows | null> {
  const stored = await bucket.get(fileKey(key, REQUEST));
  if (!stored) return null;
  const { rows, ...rest } = await stored.json<Omit<AskedRows, "rows"> & { rows: [string, Micros][] }>();
  return { ...rest, rows: rows.map(([entityId, at]) => ({ entityId, at })) };
}

export async function putFile(
  bucket: R2Bucket,
  key: TrainingSetKey,
  { name, file }: { name: string; file: Uint8Array },
): Promise<void> {
  await bucket.put(fileKey(key, name), file, { httpMetadata: { contentType: PARQUET_TYPE } });
}

export function getFile(bucket: R2Bucket, key: TrainingSetKey, name: string): Promise<R2ObjectBody | null> {
  return bucket.get(fileKey(key, name));
}

export async function deleteFile(bucket: R2Bucket, key: TrainingSetKey, name: string): Promise<void> {
  await bucket.delete(fileKey(key, name));
}

export async function deleteFiles(
  bucket: R2Bucket,
  { tenantId, trainingSetId }: TrainingSetKey,
): Promise<void> {
  const prefix = trainingSetPrefix(tenantId, trainingSetId);
  while ((await removeSomeFiles(bucket, prefix)).isMore) {}
}
