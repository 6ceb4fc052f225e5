/**
 * Goes on with the deletion of a tenant for a while. What is done stands in its record, and what is half done is done again:
 * removing twice does no harm. Two at once do the same work, and one of them goes on.
 */
import { askToCompute } from "../../compute/ask-to-compute.ts";
import type { ComputeMessage } from "../../compute/compute-message.ts";
import { rawTableObject } from "../../compute/raw-table-access.ts";
import { removeRawTable, selectRawTables } from "../../compute/registered-tables.ts";
import { entityDatabases } from "../../db/entity-databases.ts";
import { eachInTurn } from "../../each-in-turn.ts";
import type { ServiceContext } from "../../env.ts";
import { subscriberObject } from "../../events/subscriber-access.ts";
import { removeSubscription, selectSubscriptions } from "../../events/subscription-store.ts";
import { removeSomeFiles } from "../../history/remove-files.ts";
import { tenantPrefix } from "../../keys.ts";
import { DELETED_AT_ONCE, DELETED_TABLES_AT_ONCE, MAX_SUBSCRIPTIONS_PER_TENANT } from "../../limits.ts";
import { statsObject } from "../../registry/stats/access.ts";
import { DELETION_PIECE_MS, MOST_REST_MS } from "../../timings.ts";
import { sleep } from "../../waits.ts";
import { writerOf } from "../../writing/writer-access.ts";
import { findMove } from "../moving/move-store.ts";
import { assertBound } from "../spread.ts";
import { afterPiece, type Deletion, type Piece } from "./deletion.ts";
import { deletingTenants, endDeletion, findDeletion, updateDeletion } from "./deletion-store.ts";
import { removeSomeRows } from "./tenant-rows.ts";

interface DeletionContext extends ServiceContext {
  tenant: string;
}

/**
 * What is in a database that is not bound would stay for ever, and a move begins to copy rows into more than the tenant has.
 *
 * @throws UnboundDatabases
 */
export async function assertAllBound(
  context: Pick<DeletionContext, "env" | "log" | "tenant">,
): Promise<void> {
  const { env, tenant } = context;
  const found = await findMove(env.DB, tenant);
  if (found) assertBound(context, tenant, Math.max(found.databases, found.move?.to ?? 1));
}

/**
 * @param isTurn Whether the caller is the one to go on with it.
 * @returns the deletion as it stands; null: there is none, it is over, or another one goes on with it.
 * @throws UnboundDatabases
 */
export async function continueDeletion(
  context: DeletionContext,
  untilMs: number,
  isTurn: (deletion: Deletion) => boolean = () => true,
): Promise<Deletion | null> {
  const { env, log, tenant } = context;
  let found = await findDeletion(env.DB, tenant);
  if (!found || !isTurn(found.deletion)) return null;
  await assertAllBound(context);
  while (found && Date.now() >= found.deletion.fromMs && Date.now() < untilMs) {
    const startedMs = Date.now();
    const { deletion, text } = found;
    const next = afterPiece(deletion, await PIECES[deletion.step](context, deletion), Date.now());
    if (!next) {
      await endDeletion(env.DB, tenant, text);
      log.info("tenant deleted", { tenant_id: tenant, removed: deletion.removed });
      return null;
    }
    found = await updateDeletion(env.DB, tenant, { text, deletion: next });
    // As long as the work took, since the databases serve others too.
    if (next.step === deletion.step) await sleep(Math.min(Date.now() - startedMs, MOST_REST_MS));
  }
  if (!found) return null;
  // Whoever has a message of before this has nothing to do: there is one line of messages, however often it was begun.
  const { deletion, text } = found;
  const passedOn = { ...deletion, run: deletion.run + 1 };
  return (await updateDeletion(env.DB, tenant, { text, deletion: passedOn })) && passedOn;
}

/** Has the next piece done when it is time for it. A message that is lost is sent again by the cron. Never fails. */
export function passOn(context: Omit<DeletionContext, "settings">, { run, fromMs }: Deletion): Promise<void> {
  const delaySeconds = Math.max(0, Math.ceil((fromMs - Date.now()) / 1_000));
  return askToCompute(context, { kind: "deletion", tenant_id: context.tenant, run }, { delaySeconds });
}

export type DeletionMessage = Extract<ComputeMessage, { kind: "deletion" }>;

/** With a message of the queue. */
export async function deletePiece(
  context: ServiceContext,
  { tenant_id: tenant, run }: DeletionMessage,
): Promise<void> {
  const isTurn = (deletion: Deletion) => deletion.run === run;
  await goOn({ ...context, tenant }, Date.now() + DELETION_PIECE_MS, isTurn);
}

/** Those of which the messages are lost too. @throws the first failure. */
export async function continueDeletions(context: ServiceContext, untilMs: number): Promise<void> {
  await eachInTurn(await deletingTenants(context.env.DB), (tenant) => goOn({ ...context, tenant }, untilMs));
}

async function goOn(context: DeletionContext, untilMs: number, isTurn?: (deletion: Deletion) => boolean) {
  const deletion = await continueDeletion(context, untilMs, isTurn);
  if (deletion) await passOn(context, deletion);
}

type Step = (context: DeletionContext, deletion: Deletion) => Promise<Piece>;

const DONE: Piece = { removed: 0, isMore: false };

const PIECES: Record<Deletion["step"], Step> = {
  /**
   * An object that is told so takes nothing any more, and what it has promised to do is forgotten with the rest: an intent is
   * only ever asked about, never carried out. What it had sent to D1 by then may still land there, within 30 seconds, even as
   * an entity that is new since its rows have gone; the next sweep is later.
   */
  async writers({ env, settings, tenant }, { cursor }) {
    const databases = entityDatabases(env).length;
    const layout = { databases, partitions: settings.writerPartitions };
    const all = Array.from({ length: databases * layout.partitions }, (_, partition) => partition);
    const from = Number(cursor);
    const some = all.slice(from, from + DELETED_AT_ONCE);
    await Promise.all(
      some.map((partition) => writerOf({ env, settings, tenant }, partition, layout).writer.drop()),
    );
    const next = from + some.length;
    return { removed: 0, isMore: next < all.length, cursor: String(next) };
  },

  /** Who brings events has read of the subscription before, and finds it dropped. */
  async subscriptions({ env, tenant }) {
    const found = await selectSubscriptions(env.DB, tenant, {
      after: null,
      limit: MAX_SUBSCRIPTIONS_PER_TENANT,
    });
    for (const one of found) {
      await subscriberObject(env, one).drop();
      await removeSubscription(env.DB, one);
    }
    return { removed: found.length, isMore: false };
  },

  /** As one that is deleted by itself: should the second call fail, the object finds out by itself. */
  async raw_tables({ env, tenant }) {
    const found = await selectRawTables(env.DB, tenant);
    for (const table of found.slice(0, DELETED_TABLES_AT_ONCE)) {
      const object = rawTableObject(env, tenant, table);
      await object.expectChange({ tenant, tableId: table.tableId }, "deletion");
      await removeRawTable(env.DB, tenant, table.tableId);
      await object.drop();
    }
    const isMore = found.length > DELETED_TABLES_AT_ONCE;
    return { removed: Math.min(found.length, DELETED_TABLES_AT_ONCE), isMore };
  },

  async statistics({ env, tenant }) {
    await statsObject(env, tenant).drop();
    return DONE;
  },

  /** Of all databases: a move may have begun to copy rows into any. */
  async rows({ env, tenant }) {
    const counts = await Promise.all(entityDatabases(env).map((db) => removeSomeRows(db, tenant)));
    const removed = counts.reduce((a, b) => a + b, 0);
    return { removed, isMore: removed > 0 };
  },

  /** KV goes on listing for a while what is deleted: a sweep comes by each key once. */
  async documents({ env, tenant }, { cursor }) {
    const page = await env.HOT.list({
      prefix: tenantPrefix(tenant),
      limit: DELETED_AT_ONCE,
      cursor,
    });
    await Promise.all(page.keys.map(({ name }) => env.HOT.delete(name)));
    const removed = page.keys.length;
    return page.list_complete ? { removed, isMore: false } : { removed, isMore: true, cursor: page.cursor };
  },

  async files({ env, tenant }) {
    return env.ARCHIVE ? removeSomeFiles(env.ARCHIVE, tenantPrefix(tenant)) : DONE;
  },
};
