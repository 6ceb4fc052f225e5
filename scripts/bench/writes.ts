/**
 * Writes: what committing them in groups gains, and how they stand beside a Worker that does nothing but write the
 * rows.
 */
import { below, randomOf } from "../random.ts";
import { compare, type Side } from "./compare.ts";
import { bytesOf, type Request } from "./connection.ts";
import { FEATURES_PER_ENTITY, putMany, putOne } from "./data.ts";
import { measureLevels } from "./levels.ts";
import { otherService, type Started } from "./other-service.ts";
import { atLeast, type Row, type RowResult } from "./rows.ts";
import type { Setting } from "./setting.ts";

const CLIENTS = 32;
const BODIES = 1_000;
const ENTITIES_PER_REQUEST = 200;
const LARGE_BODIES = 20;
const LARGE_CLIENTS = 4;

interface Writes {
  work: string;
  features: number;
  requests: Request[];
  connections: number;
  goal: number;
  hasLevels: boolean;
}

/** So many entities are there before both, and the writes are of them. */
const WRITTEN_ENTITIES = 1_000;
/** The same service in which every transaction takes one entity: the same work but for the groups. */
const UNGROUPED = { WRITER_GROUP_WRITES: "1" };
/** Writers of a tenant: as production has them, and as it is locally, where the groups are as large as they can be. */
const AS_DEPLOYED = { WRITER_PARTITIONS: "4" };
const LOCALLY = { WRITER_PARTITIONS: "1" };

/**
 * All begin alike: the same entities, and none of them in the cache. The control always has the writers of production:
 * one D1 batch after the other, as a single writer without groups makes them, is slower.
 */
async function againstUngrouped(
  setting: Setting,
  writes: Writes,
  vars: { WRITER_PARTITIONS: string },
): Promise<RowResult> {
  const { generator, seconds, rounds, isLate } = setting;
  const { requests, connections } = writes;
  const ours = await grouped(setting, vars);
  const control = await otherService(setting, {
    name: "ungrouped",
    vars: { ...AS_DEPLOYED, ...UNGROUPED },
    entities: WRITTEN_ENTITIES,
  });
  const sides: [Side, Side] = [sideOf(ours, requests), sideOf(control, requests)];
  const compared = await compare(generator, sides, { rounds, seconds, connections, rate: null, isLate });
  const { features, goal } = writes;
  const work = `${writes.work}, ${vars.WRITER_PARTITIONS} writer${vars.WRITER_PARTITIONS === "1" ? "" : "s"}`;
  const against = "the same service, 4 writers, one D1 batch for each entity";
  const value = compared.ratio;
  return { work, against, features, compared, value, unit: "×", goal: atLeast(goal), levels: [], note: "" };
}

function grouped(setting: Setting, vars: { WRITER_PARTITIONS: string }): Promise<Started> {
  const name = `writers-${vars.WRITER_PARTITIONS}`;
  return otherService(setting, { name, vars, entities: WRITTEN_ENTITIES });
}

async function againstNaive(setting: Setting, writes: Writes): Promise<RowResult> {
  const { naive, generator, headers, seconds, isLate } = setting;
  const sides: [Side, Side] = [
    sideOf(await grouped(setting, AS_DEPLOYED), writes.requests),
    sideOf({ server: naive, headers }, writes.requests),
  ];
  const { work, features, connections, hasLevels } = writes;
  const load = { rounds: 1, seconds, connections, rate: null, isLate };
  const compared = await compare(generator, sides, load);
  const levels = hasLevels ? await measureLevels(generator, { sides, compared, seconds, isLate }) : [];
  return {
    work,
    against:
      "a bare Worker: one D1 batch for each entity; no validation, keys, order, idempotency, events, cache, metrics",
    features,
    compared,
    value: compared.ratio,
    unit: "×",
    goal: null,
    levels,
    note: "",
  };
}

function sideOf({ server, headers }: Started, requests: readonly Request[]): Side {
  const sent = requests.map((request) => bytesOf(request, headers));
  return { server, requests: () => sent };
}

const row = (name: string, writesOf: (setting: Setting) => Writes): Row => ({
  name,
  async run(setting) {
    const writes = writesOf(setting);
    return [
      await againstUngrouped(setting, writes, LOCALLY),
      await againstUngrouped(setting, writes, AS_DEPLOYED),
      await againstNaive(setting, writes),
    ];
  },
});

const upsert = row("upsert", ({ seed }) => {
  const random = randomOf(seed + 1);
  return {
    work: `upsert of three categories, ${CLIENTS} clients`,
    features: FEATURES_PER_ENTITY,
    requests: Array.from({ length: BODIES }, () => putOne(random, below(random, WRITTEN_ENTITIES))),
    connections: CLIENTS,
    goal: 2.5,
    hasLevels: true,
  };
});

const upsertMany = row("upsert-many", ({ seed }) => {
  const random = randomOf(seed + 2);
  const positions = () => Array.from({ length: ENTITIES_PER_REQUEST }, () => below(random, WRITTEN_ENTITIES));
  return {
    work: `items/batch, ${ENTITIES_PER_REQUEST} entities a request, ${LARGE_CLIENTS} clients`,
    features: ENTITIES_PER_REQUEST * FEATURES_PER_ENTITY,
    requests: Array.from({ length: LARGE_BODIES }, () => putMany(random, positions())),
    connections: LARGE_CLIENTS,
    goal: 8,
    hasLevels: false,
  };
});

export const upsertRows: Row[] = [upsert, upsertMany];
