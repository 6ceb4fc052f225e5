/** The Durable Object classes, their requests and the rows of their storage counted. */
import { countedEnv } from "./bindings.ts";
import { add, type Group, noteCursor, tracked } from "./counters.ts";

const groups = new WeakMap<object, Group>();
const groupOf = (storage: object): Group => groups.get(storage) ?? "object";

/** Storage of an object: rows of its SQLite, and alarms, which are rows too. */
let isStorageCounted = false;
function countStorage({ storage }: DurableObjectState, group: Group): void {
  groups.set(storage, group);
  groups.set(storage.sql, group);
  if (isStorageCounted) return;
  isStorageCounted = true;
  const sql = Object.getPrototypeOf(storage.sql) as SqlStorage;
  const { exec } = sql;
  sql.exec = function counting(this: SqlStorage, ...args: Parameters<SqlStorage["exec"]>) {
    const cursor = exec.apply(this, args);
    noteCursor(groupOf(this), cursor as SqlStorageCursor<Record<string, SqlStorageValue>>);
    return cursor;
  } as SqlStorage["exec"];
  const own = Object.getPrototypeOf(storage) as DurableObjectStorage;
  const { setAlarm } = own;
  own.setAlarm = function counting(this: DurableObjectStorage, ...args: Parameters<typeof setAlarm>) {
    add(`${groupOf(this)}RowsWritten`);
    return setAlarm.apply(this, args);
  };
}

type ObjectClass = new (ctx: DurableObjectState, env: Env) => object;

/** Each call of a method from outside is one request of the object. */
export function countedClass<T extends ObjectClass>(real: T, group: Group = "object"): T {
  const Base: ObjectClass = real;
  class Counted extends Base {
    constructor(ctx: DurableObjectState, env: Env) {
      countStorage(ctx, group);
      super(ctx, countedEnv(env));
    }
  }
  for (const name of Object.getOwnPropertyNames(real.prototype)) {
    const method: unknown = Reflect.get(real.prototype, name);
    if (name === "constructor" || typeof method !== "function") continue;
    Object.defineProperty(Counted.prototype, name, {
      value(this: object, ...args: unknown[]) {
        add(`${group}Requests`);
        // The platform writes a line about each call, as about each request.
        add("logEvents");
        return tracked(() => method.apply(this, args));
      },
    });
  }
  return Counted as unknown as T;
}
