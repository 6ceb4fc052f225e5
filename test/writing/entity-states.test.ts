import { expect, test } from "vitest";
import { EntityStates } from "../../worker/writing/entity-states.ts";
import { watched } from "../setup/faults.ts";
import { inWriterObject, ref, until, write } from "../setup/writer.ts";

const user = ref("user-1");

test("what was read before an entity was forgotten is not remembered after it", () =>
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
    states.forget("bright_uid/user-1");
    answer();
    expect(await slow).toEqual([1]);
    expect(await load()).toEqual([2]);
  }));
