/** Writes, against the same rows written with one D1 batch for each entity. */
import { below, randomOf } from "../load/random.ts";
import { compare, type Side } from "./compare.ts";
import { bytesOf } from "./connection.ts";
import { FEATURES_PER_ENTITY, putMany, putOne } from "./data.ts";
import { measureLevels } from "./levels.ts";
import { atLeast, type Row } from "./rows.ts";

const CLIENTS = 32;
const BODIES = 1_000;
const ENTITIES_PER_REQUEST = 200;
const LARGE_BODIES = 20;
const LARGE_CLIENTS = 4;

const upsert: Row = {
  name: "upsert",
  async run({ service, naive, generator, headers, seconds, rounds, seed, entities, isLate }) {
    const random = randomOf(seed + 1);
    const bodies = Array.from({ length: BODIES }, () =>
      bytesOf(putOne(random, below(random, entities)), headers),
    );
    const sides: [Side, Side] = [
      { server: service, requests: () => bodies },
      { server: naive, requests: () => bodies },
    ];
    const compared = await compare(generator, sides, {
      rounds,
      seconds,
      connections: CLIENTS,
      rate: null,
      isLate,
    });
    const levels = await measureLevels(generator, { sides, compared, seconds, isLate });
    return [
      {
        work: "upsert of three categories, 32 clients",
        against: "one D1 batch for each request",
        features: FEATURES_PER_ENTITY,
        compared,
        value: compared.ratio,
        unit: "×",
        goal: atLeast(2.5),
        levels,
        note: "",
      },
    ];
  },
};

const upsertMany: Row = {
  name: "upsert-many",
  async run({ service, naive, generator, headers, seconds, rounds, seed, entities, isLate }) {
    const random = randomOf(seed + 2);
    const positions = () => Array.from({ length: ENTITIES_PER_REQUEST }, () => below(random, entities));
    const bodies = Array.from({ length: LARGE_BODIES }, () => bytesOf(putMany(random, positions()), headers));
    const sides: [Side, Side] = [
      { server: service, requests: () => bodies },
      { server: naive, requests: () => bodies },
    ];
    const compared = await compare(generator, sides, {
      rounds,
      seconds,
      connections: LARGE_CLIENTS,
      rate: null,
      isLate,
    });
    return [
      {
        work: "items/batch, 200 entities a request",
        against: "one D1 batch for each entity",
        features: ENTITIES_PER_REQUEST * FEATURES_PER_ENTITY,
        compared,
        value: compared.ratio,
        unit: "×",
        goal: atLeast(8),
        levels: [],
        note: `${LARGE_CLIENTS} clients`,
      },
    ];
  },
};

export const upsertRows: Row[] = [upsert, upsertMany];
