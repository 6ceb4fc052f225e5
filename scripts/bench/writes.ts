/**
 * Writes: what committing them in groups gains, and how they stand beside a Worker that does nothing but write the
 * rows.
 */
import { below, randomOf } from "../random.ts";
import { compare, type Side } from "./compare.ts";
import { bytesOf, type Request } from "./connection.ts";
import { FEATURES_PER_ENTITY, putMany, putOne } from "./data.ts";
import { levelsOf } from "./levels.ts";
import { otherService, type Started } from "./other-service.ts";
import { atLeast, type Measured, ROUNDS_FOR_INFORMATION, type Row, type RowResult } from "./rows.ts";
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
  isBesideNaive: boolean;
}

/** So many entities are there before both, and the writes are of them. */
const WRITTEN_ENTITIES = 1_000;
/** Writers of a tenant: as production has them, and as it is locally, where the groups are as large as they can be. */
const AS_DEPLOYED = 4;
const LOCALLY = 1;
/** As many as there may be: nearly every entity has an object of its own. */
const ONE_AN_ENTITY = 1_024;

/** The same service in which every transaction takes one entity: the same work but for the groups. */
const ungrouped = (setting: Setting, writers: number): Promise<Started> =>
  otherService(setting, {
    name: `ungrouped-${writers}`,
    vars: { WRITER_PARTITIONS: String(writers), WRITER_GROUP_WRITES: "1" },
    entities: WRITTEN_ENTITIES,
  });

const grouped = (setting: Setting, writers: number): Promise<Started> =>
  otherService(setting, {
    name: `grouped-${writers}`,
    vars: { WRITER_PARTITIONS: String(writers) },
    entities: WRITTEN_ENTITIES,
  });

/** All begin alike, and warm from having been filled: the same entities, and none of them in the cache. */
async function againstUngrouped(
  setting: Setting,
  writes: Writes,
  { writers, against, goal }: { writers: number; against: number; goal: RowResult["goal"] },
): Promise<RowResult> {
  const { generator, seconds, isLate } = setting;
  const rounds = goal ? setting.rounds : ROUNDS_FOR_INFORMATION;
  const { requests, connections, features } = writes;
  const sides: [Side, Side] = [
    sideOf(await grouped(setting, writers), requests),
    sideOf(await ungrouped(setting, against), requests),
  ];
  const load = { rounds, seconds, connections, rate: null, isLate, warm: false };
  const compared = await compare(generator, sides, load);
  const by = against === ONE_AN_ENTITY ? "a writer for each entity" : `${against} writers`;
  return {
    work: [
      writes.work,
      writers === 1 ? "1 writer" : `${writers} writers`,
      ...(goal ? [] : [`beside ${against} without groups`]),
    ].join(", "),
    against: `the same service, ${by}, one D1 batch for each entity`,
    features,
    compared,
    value: compared.ratio,
    unit: "×",
    goal,
    levels: [],
    note: "",
  };
}

async function againstNaive(setting: Setting, writes: Writes): Promise<Measured> {
  const { naive, generator, headers, seconds, isLate } = setting;
  const sides: [Side, Side] = [
    sideOf(await grouped(setting, AS_DEPLOYED), writes.requests),
    sideOf({ server: naive, headers }, writes.requests),
  ];
  const { work, features, connections } = writes;
  const load = { rounds: ROUNDS_FOR_INFORMATION, seconds, connections, rate: null, isLate, warm: false };
  const compared = await compare(generator, sides, load);
  return {
    work: `${work}, ${AS_DEPLOYED} writers, beside a bare Worker`,
    against:
      "a bare Worker: one D1 batch for each entity; no validation, keys, order, idempotency, events, cache, metrics",
    features,
    compared,
    value: compared.ratio,
    unit: "×",
    goal: null,
    levels: [],
    note: "",
    measureLevels: () => levelsOf(setting, sides, compared),
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
    const goal = atLeast(writes.goal);
    return [
      await againstUngrouped(setting, writes, { writers: LOCALLY, against: ONE_AN_ENTITY, goal }),
      await againstUngrouped(setting, writes, { writers: AS_DEPLOYED, against: ONE_AN_ENTITY, goal }),
      await againstUngrouped(setting, writes, { writers: AS_DEPLOYED, against: AS_DEPLOYED, goal: null }),
      ...(writes.isBesideNaive ? [await againstNaive(setting, writes)] : []),
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
    isBesideNaive: true,
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
    isBesideNaive: false,
  };
});

export const upsertRows: Row[] = [upsert, upsertMany];
