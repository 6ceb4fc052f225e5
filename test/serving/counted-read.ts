/** Reading entities on the real bindings, and counting what that costs. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { settings } from "../../worker/env.ts";
import type { EntityRef } from "../../worker/keys.ts";
import { Log } from "../../worker/log.ts";
import { readEntities } from "../../worker/serving/read-entities.ts";

/** `kv`: gets, a bulk one is one. `d1`: round trips, and the statements in them. `fills`: calls of writers. */
const NOTHING = { kv: 0, d1: 0, statements: 0, fills: 0 };

/** What is done with the result of a method of that name. */
type Watch = Record<string, (result: unknown) => unknown>;

function watched<T extends object>(target: T, watch: Watch): T {
  return new Proxy(target, {
    get(object, name) {
      const member: unknown = Reflect.get(object, name);
      if (typeof member !== "function") return member;
      const see = watch[String(name)] ?? ((result) => result);
      return (...args: unknown[]) => see(member.apply(object, args));
    },
  });
}

/** @param memoryTtlMs 0: the isolate's memory is off. */
export async function countedRead(refs: readonly EntityRef[], memoryTtlMs: number) {
  const counts = { ...NOTHING };
  const tally = (what: keyof typeof counts) => (result: unknown) => {
    counts[what] += 1;
    return result;
  };
  const statement = (found: unknown): D1PreparedStatement =>
    watched(found as D1PreparedStatement, { bind: statement, all: tally("d1"), first: tally("d1") });
  const prepare = (found: unknown) => statement(tally("statements")(found));
  const session = (found: unknown) => watched(found as D1DatabaseSession, { prepare, batch: tally("d1") });
  const recorded: Env = {
    ...env,
    HOT: watched(env.HOT, { get: tally("kv") }),
    DB: watched(env.DB, { withSession: session, prepare, batch: tally("d1") }),
    ENTITY_WRITER: watched(env.ENTITY_WRITER, { getByName: tally("fills") }),
  };
  const execution = createExecutionContext();
  const context = {
    env: recorded,
    settings: { ...settings(env), memoryTtlMs },
    tenant: "default",
    log: new Log("test", { level: "ERROR", readable: false }),
    nowMs: Date.now(),
    after: (work: Promise<unknown>) => execution.waitUntil(work),
  };
  const reads = await readEntities({ ...context, consistency: "edge", token: null }, refs);
  await waitOnExecutionContext(execution);
  const found = reads.filter(({ document }) => document).length;
  return { counts, sources: new Set(reads.map(({ source }) => source)), found };
}
