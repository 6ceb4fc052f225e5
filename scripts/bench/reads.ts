/** Reads of entities that are hot, against a constant of the same size; and of such as no cache knows. */

import { CONNECTIONS, compare, type Side } from "./compare.ts";
import { bytesOf, type Request } from "./connection.ts";
import {
  FEATURES_PER_CATEGORY,
  FEATURES_PER_ENTITY,
  getOne,
  getOnline,
  getThree,
  type Headers,
  shuffled,
} from "./data.ts";
import { levelsOf } from "./levels.ts";
import { atLeast, type Measured, type Row } from "./rows.ts";
import type { Setting } from "./setting.ts";

/** So many entities are read again and again: from memory, renewed from KV behind the answers. */
export const HOT_ENTITIES = 100;
const hotPositions = Array.from({ length: HOT_ENTITIES }, (_, position) => position);

export const hotReads = (headers: Headers) =>
  hotPositions.map((position) => bytesOf(getOne(position), headers));

interface HotRead {
  work: string;
  features: number;
  goal: number;
  requests: Request[];
}

const hot = (name: string, { work, features, goal, requests }: HotRead): Row => ({
  name,
  async run(setting) {
    const { service, constant, generator, headers, seconds, rounds, isLate } = setting;
    const sent = requests.map((request) => bytesOf(request, headers));
    const sides: [Side, Side] = [
      { server: service, requests: () => sent },
      { server: constant, requests: () => sent },
    ];
    const prepare = async () => {
      for (const request of requests.slice(0, 1)) await setConstant(setting, request);
    };
    await prepare();
    const compared = await compare(generator, sides, {
      rounds,
      seconds,
      connections: CONNECTIONS,
      rate: null,
      isLate,
    });
    const result: Measured = {
      work,
      against: `a constant of ${compared.control.bytesPerAnswer} bytes from a bare Hono app, which reads the body where there is one`,
      features,
      compared,
      value: compared.ratio,
      unit: "×",
      goal: atLeast(goal),
      levels: [],
      note: "",
      async measureLevels() {
        await prepare();
        return levelsOf(setting, sides, compared);
      },
    };
    return [result];
  },
});

/** The control answers what the service answers, to the very same request. */
async function setConstant({ service, constant, headers }: Setting, { line, body }: Request): Promise<void> {
  const [method = "GET", path = "/"] = line.split(" ");
  const json = body !== undefined && { "content-type": "application/json" };
  const request = {
    method,
    headers: { ...headers, ...json },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  };
  // From the second time on the answer is hot.
  await fetch(service.url + path, request).then((response) => response.text());
  const response = await fetch(service.url + path, request);
  const answer = await response.text();
  if (!response.ok) throw new Error(`${line}: ${response.status} ${answer}`);
  await fetch(`${constant.url}/constant`, { method: "PUT", body: answer });
}

const hotOne = hot("hot-one", {
  work: "hot read, one category",
  features: FEATURES_PER_CATEGORY,
  goal: 0.8,
  requests: hotPositions.map(getOne),
});

const hotThree = hot("hot-three", {
  work: "hot read, three categories",
  features: FEATURES_PER_ENTITY,
  goal: 0.8,
  requests: hotPositions.map(getThree),
});

const hotMany = hot("hot-many", {
  work: "hot read, 100 entities × 60",
  features: HOT_ENTITIES * FEATURES_PER_ENTITY,
  goal: 0.5,
  requests: [getOnline(hotPositions)],
});

/** Slow enough that what follows an answer is over before the next request. */
const COLD_RATE = 20;

const cold: Row = {
  name: "cold",
  async run(setting) {
    const { service, naive, generator, headers, seconds, rounds, seed, entities, isLate } = setting;
    const all = shuffled(seed, entities - HOT_ENTITIES).map((position) =>
      bytesOf(getOne(HOT_ENTITIES + position), headers),
    );
    const once = (server: Setting["service"]): Side => {
      let next = 0;
      return {
        server,
        once: true,
        requests: (atMost) => {
          const some = all.slice(next, next + atMost);
          next += some.length;
          return some;
        },
      };
    };
    const sides: [Side, Side] = [once(service), once(naive)];
    const load = { rounds, seconds, connections: CONNECTIONS, rate: COLD_RATE, isLate, warm: false };
    const compared = await compare(generator, sides, { ...load, speedOf: ({ p50 }) => 1_000 / p50 });
    const result: Measured = {
      work: "cold read of one entity",
      against: "one KV miss and one D1 statement in a bare Worker",
      features: FEATURES_PER_CATEGORY,
      compared,
      value: compared.ratio,
      unit: "×",
      goal: atLeast(0.6),
      levels: [],
      measureLevels: () => levelsOf({ ...setting, seconds: Math.min(seconds, 2) }, sides, compared),
      note: `of the times to the answer (p50), each entity once, ${COLD_RATE} a second: after answering the service puts each into the cache`,
    };
    return [result];
  },
};

export const readRows: Row[] = [hotOne, hotThree, hotMany, cold];
