/**
 * Consumes `feature-compute`: recomputes what follows a table in which rows have arrived, and writes the entities of
 * jobs and the files of training sets. Messages say only where to look; what is left to do stands in the table's object
 * or the set's row, so a repeated message finds nothing to do and a lost one is asked for again.
 */
import { type ServiceContext, settings } from "../env.ts";
import {
  announceTrainingSet,
  keyOfSet,
  type TrainingSetMessage,
  writeTrainingSet,
} from "../history/write-training-set.ts";
import { MAX_OWN_FAULT_TRIES, MAX_ROUNDS_PER_MESSAGE, MAX_TOUCHED_ENTITIES } from "../limits.ts";
import { Log } from "../log.ts";
import { findFeature, isRegistered } from "../registry/registry-store.ts";
import { retryDelaySeconds } from "../retry-delay.ts";
import { type DeletionMessage, deletePiece } from "../tenants/deleting/continue-deletion.ts";
import { nowMicros } from "../timestamps.ts";
import { TRAINING_SETS_BATCH_MS } from "../timings.ts";
import type { Debt } from "./computation-store.ts";
import { computeByHand } from "./compute-by-hand.ts";
import { type ComputedParts, computeInParts } from "./compute-in-parts.ts";
import { type ComputeMessage, computeMessage } from "./compute-message.ts";
import { noteComputation, noteRecovery, STORE_FAULT } from "./compute-store.ts";
import { computableVersion } from "./computed-feature.ts";
import { followerOf } from "./follower-store.ts";
import { rawTableObject } from "./raw-table-access.ts";
import {
  findRawTable,
  type RegisteredTable,
  type StreamingVersion,
  streamingVersions,
} from "./registered-tables.ts";
import type { Skipped } from "./vectors.ts";
import { writeJobPage } from "./write-job.ts";
import { vectorTarget, writeVectors } from "./write-vectors.ts";

/** What becomes of a message. */
type Result =
  | "done"
  /** It comes again, but only a few times: nothing but the tenant's own SQL or rows keeps the rest from being computed. */
  | "own fault"
  | "again";

export async function consumeCompute(batch: MessageBatch, env: Env): Promise<void> {
  const startedMs = Date.now();
  const own = settings(env);
  const context = { env, settings: own, log: Log.of("compute", own) };
  // Several ingests into one table within a batch are one recomputation.
  const tables = new Map<string, { tenant: string; tableId: number; messages: Message[] }>();
  const sets: { message: Message; read: TrainingSetMessage }[] = [];
  const deletions: { message: Message; read: DeletionMessage }[] = [];
  for (const message of batch.messages) {
    const read = readMessage(context, message);
    switch (read?.kind) {
      case "ingest": {
        const { tenant_id: tenant, table_id: tableId } = read;
        const key = `${encodeURIComponent(tenant)}/${tableId}`;
        const known = tables.get(key);
        if (known) known.messages.push(message);
        else tables.set(key, { tenant, tableId, messages: [message] });
        break;
      }
      case "job":
        await settle(context, [message], () => done(writeJobPage(context, read)));
        break;
      case "training_set":
        sets.push({ message, read });
        break;
      case "deletion":
        deletions.push({ message, read });
        break;
    }
  }
  for (const { tenant, tableId, messages } of tables.values()) {
    const isRepeated = messages.some(({ attempts }) => attempts > 1);
    await settle(context, messages, () => recompute(context, { tenant, tableId, isRepeated }));
  }
  // Last: nobody waits for one as one waits for what has just been ingested.
  for (const [i, { message, read }] of sets.entries()) {
    const isLate = i > 0 && Date.now() >= startedMs + TRAINING_SETS_BATCH_MS;
    // With another batch, by a message of its own: it has not been tried.
    await settle(context, [message], () =>
      done(isLate ? announceTrainingSet(env, keyOfSet(read)) : writeTrainingSet(context, read)),
    );
  }
  for (const { message, read } of deletions) {
    await settle(context, [message], () => done(deletePiece(context, read)));
  }
}

/** @returns null for one that is not read: it is sent back. */
function readMessage({ log }: ServiceContext, message: Message): ComputeMessage | null {
  const parsed = computeMessage.safeParse(message.body);
  if (parsed.success) return parsed.data;
  log.warning("not a computation message", { message_id: message.id, attempts: message.attempts });
  message.retry();
  return null;
}

const done = (work: Promise<void>) => work.then((): Result => "done");

async function settle(
  { log }: ServiceContext,
  messages: readonly Message[],
  work: () => Promise<Result>,
): Promise<void> {
  const result = await work().catch((cause: unknown): Result => {
    log.error("computation failed", cause);
    return "again";
  });
  for (const message of messages) {
    const isGivenUp = result === "own fault" && message.attempts >= MAX_OWN_FAULT_TRIES;
    if (result === "done" || isGivenUp) message.ack();
    else message.retry({ delaySeconds: retryDelaySeconds(message.attempts) });
  }
}

/**
 * A version that fails holds up no other: the message comes again for that one.
 *
 * @param of `isRepeated`: it has come again.
 */
async function recompute(
  context: ServiceContext,
  { tenant, tableId, isRepeated }: { tenant: string; tableId: number; isRepeated: boolean },
): Promise<Result> {
  const { DB } = context.env;
  const table = await findRawTable(DB, tenant, tableId);
  if (!table) return "done";
  const object = rawTableObject(context.env, tenant, table);
  const { lastIngest, debts } = await object.owed();
  const versions = await streamingVersions(DB, tenant, tableId);
  await object.keepFollowers(versions.map(followerOf), lastIngest);
  let result: Result = "done";
  let isMore = false;
  for (const version of versions) {
    const holder = crypto.randomUUID();
    const outcome = await recomputeVersion(context, { tenant, table, version, holder }).catch(
      (cause): Outcome => {
        const about = { tenant_id: tenant, feature_id: version.featureId };
        context.log.warning("a feature was not recomputed", about, cause);
        return { kind: "store fault" };
      },
    );
    const key = { tenant, featureId: version.featureId, version: version.version };
    switch (outcome.kind) {
      case "busy":
        // Perhaps one that is dead: what was said of a try before this one stands until somebody sees that all is well.
        if (isRepeated && result === "done") result = "again";
        break;
      case "nothing":
        if (isRepeated) await noteRecovery(DB, key, nowMicros());
        break;
      case "computed":
        isMore ||= outcome.isMore;
        if (outcome.isMore) await object.release(followerOf(version), holder, null);
        await noteComputation(DB, key, outcome.note, nowMicros());
        break;
      case "own fault":
        if (result === "done") result = "own fault";
        await object.release(followerOf(version), holder, outcome.upTo);
        await noteComputation(DB, key, outcome.error, nowMicros());
        break;
      case "removed":
        await object.release(followerOf(version), holder, outcome.upTo);
        break;
      case "store fault":
        result = "again";
        await object.release(followerOf(version), holder, null);
        await noteComputation(DB, key, STORE_FAULT, nowMicros());
        break;
    }
  }
  for (const debt of debts) {
    const isPaid = await computeWhole(context, { tenant, table, debt });
    if (isPaid) await object.pay(debt);
    else result = "again";
  }
  if (isMore)
    await context.env.FEATURE_COMPUTE.send({ kind: "ingest", tenant_id: tenant, table_id: tableId });
  return result;
}

/** @returns false when it must be tried again. */
async function computeWhole(
  context: ServiceContext,
  { tenant, table, debt }: { tenant: string; table: RegisteredTable; debt: Debt },
): Promise<boolean> {
  const feature = await findFeature(context.env.DB, tenant, String(debt.featureId));
  // The id may be another feature's since D1 was put back to an earlier time.
  const isOfTable = feature?.rawTableId === table.tableId;
  const isThere = feature?.versions.some(({ version }) => version === debt.version);
  if (!feature || !isOfTable || !isThere) return true;
  const version = computableVersion(feature, String(debt.version));
  const source = { kind: "ingested" } as const;
  const byHand = { feature, version, table, source };
  const outcome = await computeByHand({ ...context, tenant }, byHand);
  // The one that has overtaken it may die before it writes, and of erased rows nothing is left to be written.
  if (outcome.kind === "cut off") return false;
  return outcome.kind !== "refused" || outcome.reply.kind !== "too_many_jobs";
}

interface Recomputation {
  tenant: string;
  table: RegisteredTable;
  version: StreamingVersion;
  holder: string;
}

type Outcome =
  /**
   * `note`: in words for the tenant, what was not written all the same. `isMore`: rows came as fast as they were computed;
   * what is left waits its turn, behind other features and tables.
   */
  | { kind: "computed"; note: string | null; isMore: boolean }
  | { kind: "nothing" }
  /** Another consumer is at it. */
  | { kind: "busy" }
  /** The tenant's SQL or rows are at fault, up to this ingest. */
  | { kind: "own fault"; error: string; upTo: number }
  /** Its feature was, after it was read what follows the table. */
  | { kind: "removed"; upTo: number }
  | { kind: "store fault" };

async function recomputeVersion(
  context: ServiceContext,
  { tenant, table, version, holder }: Recomputation,
): Promise<Outcome> {
  const object = rawTableObject(context.env, tenant, table);
  const follower = followerOf(version);
  const { schema } = table;
  const { name, entityKey, sql } = version;
  const target = vectorTarget({ name, entityType: entityKey }, version, `ingest-${holder}`);
  const isThere = () => isRegistered(context.env.DB, { tenant, ...follower });
  let note: string | null = null;
  for (let round = 0; round < MAX_ROUNDS_PER_MESSAGE; round++) {
    const claim = await object.claim(follower, holder, MAX_TOUCHED_ENTITIES);
    if (claim.kind !== "entities") {
      return round === 0 ? claim : { kind: "computed", note, isMore: false };
    }
    const { entities, upTo } = claim;
    const parts = await computeInParts((part) => {
      const source = { kind: "entities", entities: part } as const;
      return object.compute({ schema, sql, entityKey, source, job: null });
    }, entities);
    if (parts.kind === "own fault") return { ...parts, upTo };
    // Rows were erased: the next claim brings the same entities.
    if (!(await object.mayGoOn(holder))) continue;
    // One of its name may be there by now, whose vectors these would replace.
    if (!(await isThere())) return { kind: "removed", upTo };
    const mayGoOn = async () => (await object.mayGoOn(holder)) && (await isThere());
    const written = writeVectors({ ...context, tenant }, parts.computed, target, mayGoOn);
    // Only now: a crash before this computes the same entities again. Of a write that fails half may be there.
    const isWritten = await written.then(
      () => true,
      () => false,
    );
    await object.followed(follower, holder, { entities, upTo, isWritten });
    const { skipped } = await written;
    note = whatIsMissing(parts, skipped) ?? note;
  }
  return { kind: "computed", note, isMore: true };
}

/** In words for the tenant; null when nothing is. */
function whatIsMissing(
  { failed, error }: Extract<ComputedParts, { kind: "computed" }>,
  skipped: readonly Skipped[],
): string | null {
  if (error !== null)
    return `${failed.length} entities were not computed, such as \`${failed[0]}\`: ${error}`;
  const [first] = skipped;
  return first ? `${skipped.length} entities were not written: ${first.reason}` : null;
}
