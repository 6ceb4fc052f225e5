/** Asking over HTTP for what was known at given times. */
import type { Front } from "./front.ts";
import { PAST_FEATURES, type PastValue, pastIn } from "./past.ts";
import { nameOf, type PastRead } from "./schedule.ts";
import { START_MS } from "./world.ts";

export interface PastTold {
  rows: { entity: string; at: number; shown: PastValue[] | null }[];
  /** Microseconds, as `at`. */
  knownAt: number | null;
}

const msOf = (second: number) => START_MS + second * 1_000;
const textOf = (second: number) => new Date(msOf(second)).toISOString();

/** Null where nothing was answered. */
export async function askPast(
  front: Front,
  { consistency, rows, knownSecond }: PastRead,
  token: string | undefined,
): Promise<PastTold | null> {
  const body = {
    rows: rows.map(({ entity, second }) => ({ entity_id: entity.entityValue, timestamp: textOf(second) })),
    feature_names: PAST_FEATURES.map(({ asked }) => asked),
    entity_type: rows[0]?.entity.entityType,
    consistency,
    ...(knownSecond !== null && { known_at: textOf(knownSecond) }),
  };
  const asked = { method: "POST", path: "/features/batch", body, consistencyToken: token } as const;
  const reply = await front.ask(asked);
  if (!reply || reply.status === 503) return null;
  if (reply.status !== 200) throw new Error(`the past was asked for and ${reply.status} ${reply.text}`);
  const answered = (JSON.parse(reply.text) as { rows: { features: Parameters<typeof pastIn>[0] }[] }).rows;
  return {
    rows: rows.map(({ entity, second }, i) => ({
      entity: nameOf(entity),
      at: msOf(second) * 1_000,
      shown: pastIn(answered[i]?.features ?? {}),
    })),
    knownAt: knownSecond === null ? null : msOf(knownSecond) * 1_000,
  };
}
