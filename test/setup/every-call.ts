/** Bindings of which each call can go wrong, whichever it is. */
import { env } from "cloudflare:workers";
import { bindingOf, entityDatabases } from "../../worker/db/entity-databases.ts";
import { InjectedFault } from "./injected-fault.ts";

/** By itself, or as what has failed a query. */
export const isInjected = (cause: unknown) =>
  cause instanceof InjectedFault || (cause instanceof Error && cause.cause instanceof InjectedFault);

/** Every call to a store or an object, by what it asks, so that each can go wrong once. */
export function everyCall(around: (call: string, run: () => Promise<unknown>) => Promise<unknown>): Env {
  const real = new WeakMap<object, D1PreparedStatement>();
  const asking = <T extends object>(
    target: T,
    methods: readonly string[],
    about: (args: unknown[]) => string,
  ): T =>
    new Proxy(target, {
      get(_, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        if (!methods.includes(String(name))) return value.bind(target);
        return (...args: unknown[]) =>
          around(`${String(name)} ${about(args)}`, () => Reflect.apply(value, target, args));
      },
    });
  const statement = (one: D1PreparedStatement, about: string): D1PreparedStatement => {
    const asked = asking(one, ["run", "all", "first", "raw"], () => about);
    const bound = new Proxy(asked, {
      get: (_, name) =>
        name === "bind"
          ? (...values: unknown[]) => statement(one.bind(...values), about)
          : Reflect.get(asked, name),
    });
    real.set(bound, one);
    return bound;
  };
  const session = <T extends D1Database | D1DatabaseSession>(db: T, number: number): T =>
    new Proxy(db, {
      get(_, name) {
        if (name === "prepare") return (sql: string) => statement(db.prepare(sql), `${number} ${sql}`);
        if (name === "batch")
          return (all: D1PreparedStatement[]) =>
            around(`batch ${number} ${all.length}`, () => db.batch(all.map((one) => real.get(one) ?? one)));
        if (name === "withSession" && "withSession" in db)
          return (start: string) => session(db.withSession(start), number);
        return Reflect.get(db, name);
      },
    });
  const objects = <T extends DurableObjectNamespace>(namespace: T, kind: string): T =>
    new Proxy(namespace, {
      get(_, name) {
        const value: unknown = Reflect.get(namespace, name);
        if (name === "getByName")
          return (id: string) =>
            asking(namespace.getByName(id), ["drop", "expectChange"], () => `${kind} ${id}`);
        return typeof value === "function" ? value.bind(namespace) : value;
      },
    });
  const databases = entityDatabases(env).map((db, number) => [bindingOf(number), session(db, number)]);
  return {
    ...env,
    ...Object.fromEntries(databases),
    HOT: asking(env.HOT, ["list", "delete"], ([of]) => (typeof of === "string" ? of : "documents")),
    ...(env.ARCHIVE && { ARCHIVE: asking(env.ARCHIVE, ["list", "delete"], () => "files") }),
    ENTITY_WRITER: objects(env.ENTITY_WRITER, "writer"),
    RAW_TABLE: objects(env.RAW_TABLE, "table"),
    SUBSCRIBER: objects(env.SUBSCRIBER, "subscriber"),
    FEATURE_STATS: objects(env.FEATURE_STATS, "stats"),
  };
}
