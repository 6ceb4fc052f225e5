/** One version over given rows, or over all that were ingested: because somebody asks, or the table owes it. */

import type { TenantContext } from "../http/context.ts";
import { MAX_INLINE_ENTITIES } from "../limits.ts";
import { isRegistered, type RegisteredFeature } from "../registry/registry-store.ts";
import { nowMicros } from "../timestamps.ts";
import type { WhyCutOff } from "./computation-store.ts";
import { type Job, noteComputation } from "./compute-store.ts";
import type { ComputableVersion } from "./computed-feature.ts";
import { rawTableObject } from "./raw-table-access.ts";
import type { ComputeSource } from "./raw-table-store.ts";
import { type Refused, wordsFor } from "./refused-computation.ts";
import type { RegisteredTable } from "./registered-tables.ts";
import { startJob } from "./start-job.ts";
import type { Skips } from "./vectors.ts";
import { computeAgainWhereOvertaken, vectorTarget, type Written, writeVectors } from "./write-vectors.ts";

interface ComputationByHand {
  feature: RegisteredFeature;
  version: ComputableVersion;
  /** The version's. */
  table: RegisteredTable;
  source: ComputeSource;
}

type OutcomeByHand =
  | ({ kind: "written" } & Omit<Written, "skipped" | "isCutOff"> & Skips)
  | { kind: "job"; job: Job }
  | { kind: "refused"; reply: Refused }
  /** Nothing more of this one is written. */
  | { kind: "cut off"; why: WhyCutOff };

const NOTHING: Written = { written: 0, skipped: [], bookmarks: new Map(), isCutOff: true };

/** @throws Problem 503 when not all could be committed. */
export async function computeByHand(
  context: TenantContext,
  { feature, version: { row: version, sql, entityKey }, table, source }: ComputationByHand,
): Promise<OutcomeByHand> {
  const { env, tenant } = context;
  const { tableId, schema } = table;
  const object = rawTableObject(env, tenant, table);
  const id = crypto.randomUUID();
  const follower = { featureId: feature.featureId, version: version.version, entityKey };
  const key = { tenant, featureId: follower.featureId, version: follower.version };
  const job = { jobId: id, moreThan: MAX_INLINE_ENTITIES, table: { tenant, tableId } };
  const reply = await object.compute({ schema, sql, entityKey, source, version: key, job });
  if (reply.kind === "kept")
    return { kind: "job", job: await startJob(context, { ...key, jobId: id, tableId }, reply) };
  if (reply.kind !== "computed") {
    await noteComputation(env.DB, key, wordsFor(reply), nowMicros());
    return { kind: "refused", reply };
  }
  const { computed, seq } = reply;
  const whyNot = seq === null ? null : await object.mayWrite(id, key, seq);
  if (whyNot !== null) return { kind: "cut off", why: whyNot };
  const target = vectorTarget(feature, version, `compute-${id}`);
  // One of its name may be there by now, whose vectors these would replace.
  const isThere = () => isRegistered(env.DB, key);
  const mayGoOn = async () => (seq === null || (await object.mayGoOn(id))) && (await isThere());
  const writing = isThere().then((is) => (is ? writeVectors(context, computed, target, mayGoOn) : NOTHING));
  const of = { table, id, follower, computed, seq };
  const { written, skipped, bookmarks, isCutOff } = await computeAgainWhereOvertaken(context, of, writing);
  if (isCutOff) return { kind: "cut off", why: (await isThere()) ? "erased" : "removed" };
  await noteComputation(env.DB, key, null, nowMicros());
  return {
    kind: "written",
    written,
    bookmarks,
    skipped: [...reply.skipped, ...skipped],
    skippedCount: reply.skippedCount + skipped.length,
  };
}
