import { expect, test } from "vitest";
import type { CategoryRow } from "../../worker/db/current-rows.ts";
import { entityKey } from "../../worker/keys.ts";
import { WRITER_STATE_MAX_CHARACTERS } from "../../worker/limits.ts";
import { EntityStates } from "../../worker/writing/entity-states.ts";
import { watched } from "../setup/faults.ts";
import { until } from "../setup/waiting.ts";
import { inWriterObject, user, write } from "../setup/writer.ts";

const fat = { category: "c", data: "x".repeat(WRITER_STATE_MAX_CHARACTERS / 20) } as CategoryRow;

const overtakenBy: [string, (states: EntityStates) => void][] = [
  ["was forgotten", (states) => states.forget(entityKey(user))],
  [
    // By a commit, whose state has left the memory again.
    "was committed",
    (states) => {
      states.committed(entityKey(user), { revision: 2, rows: new Map() });
      for (let i = 0; i < 30; i++) states.committed(`fat-${i}`, { revision: 1, rows: new Map([["c", fat]]) });
    },
  ],
];

test.each(overtakenBy)("what was read before an entity %s is not remembered after it", (_, overtake) =>
  inWriterObject(async ({ start, tenant }) => {
    const bindings = watched();
    const writer = start(bindings.env);
    await writer.submit(write("user-1", { a: { n: 1 } }));
    const states = new EntityStates();
    const load = async () => {
      const loaded = await states.load(bindings.env.DB.withSession("first-primary"), tenant, [user]);
      return [...(loaded?.values() ?? [])].map(({ revision }) => revision);
    };
    let answer = () => {};
    const held = new Promise<void>((resolve) => {
      answer = resolve;
    });
    bindings.faults = {
      database: async (_call, run) => {
        const read = await run();
        await held;
        return read;
      },
    };
    const slow = load();
    await until("it has read", () => bindings.database.some(({ ran, writes }) => ran && !writes));
    bindings.faults = {};
    // Another writer's transaction lands, and is found out meanwhile.
    await start(bindings.env).submit(write("user-1", { a: { n: 2 } }));
    overtake(states);
    answer();
    expect(await slow).toEqual([1]);
    expect(await load()).toEqual([2]);
  }),
);

test("writers of one isolate share a bound, and no state", () =>
  inWriterObject(async ({ start, tenant }) => {
    const bindings = watched();
    await start(bindings.env).submit(write("user-1", { a: { n: 1 } }));
    const [one, another] = [new EntityStates(), new EntityStates()];
    const load = async (states: EntityStates) => {
      bindings.forgetCalls();
      const loaded = await states.load(bindings.env.DB.withSession("first-primary"), tenant, [user]);
      const [state] = loaded?.values() ?? [];
      return { revision: state?.revision, asked: bindings.database.length };
    };
    expect(await load(one)).toEqual({ revision: 1, asked: 1 });
    expect(await load(one)).toEqual({ revision: 1, asked: 0 });
    another.committed(entityKey(user), { revision: 9, rows: new Map() });
    expect(await load(one)).toEqual({ revision: 1, asked: 0 });
    for (let i = 0; i < 60; i++) another.committed(`fat-${i}`, { revision: 1, rows: new Map([["c", fat]]) });
    expect(await load(one)).toEqual({ revision: 1, asked: 1 });
    expect(await load(new EntityStates())).toEqual({ revision: 1, asked: 1 });
  }));
