/** The writers of a schedule's tenant: one of each database that it is spread over. */
import { env } from "cloudflare:workers";
import { bindingOf } from "../../worker/db/entity-databases.ts";
import { UNRESOLVED_INTENT_MS } from "../../worker/timings.ts";
import { EntityWriter } from "../../worker/writing/entity-writer.ts";
import type { FaultLayer } from "./bindings.ts";
import { prefixedStorage, wholeStorage } from "./hosted-storage.ts";
import { namespaceOf, ObjectHost } from "./object-host.ts";
import type { World } from "./world.ts";

interface WritersDependencies {
  world: World;
  layer: FaultLayer;
  state: DurableObjectState;
  tenant: string;
  databases: number;
  /** What they are made with. */
  env: Env;
}

/** Everything that is under way comes to its end within this, an alarm follows an alarm; of each writer. */
const MOST_ALARMS = 30;

type Host = ObjectHost<EntityWriter>;

export class Writers {
  readonly #world: World;
  readonly #tenant: string;
  readonly #hosts: Host[];

  constructor({ world, layer, state, tenant, databases, env: own }: WritersDependencies) {
    this.#world = world;
    this.#tenant = tenant;
    const shared = { world, layer, state, make: (mine: DurableObjectState) => new EntityWriter(mine, own) };
    this.#hosts = Array.from({ length: databases }, (_, number) =>
      databases === 1
        ? new ObjectHost({ ...shared, name: "writer", storage: wholeStorage(state) })
        : new ObjectHost({
            ...shared,
            name: `writer of ${bindingOf(number)}`,
            storage: prefixedStorage(state, `w${number}_`),
          }),
    );
  }

  get namespace(): Env["ENTITY_WRITER"] {
    return namespaceOf(env.ENTITY_WRITER, (name) => this.#named(name).stub());
  }

  get instances(): number {
    return this.#hosts.reduce((total, { instances }) => total + instances, 0);
  }

  /** @param writer All, where none is given. */
  kill(reason: string, writer: number | null = null): void {
    for (const [number, host] of this.#hosts.entries()) if (number === (writer ?? number)) host.kill(reason);
  }

  /** The consumer tells whoever lives in the object of a database now that it has handled events. */
  confirm(database: number, eventIds: readonly string[]): void {
    const identity = { tenant: this.#tenant, partitions: 1, database };
    void this.#hosts[database]?.invoke("confirm", [identity, eventIds]).catch(() => {});
  }

  /**
   * Everything under way ends, and what is owed is paid by alarms; late enough that nothing unknown can land.
   *
   * @returns what is wrong where it does not; null where it does.
   */
  async settle(): Promise<string | null> {
    const world = this.#world;
    for (let alarms = 0; alarms < MOST_ALARMS * this.#hosts.length; alarms++) {
      await world.run(() => world.waitsOnlyFor("alarm"));
      const owing = this.#hosts.filter(owes);
      const [next] = owing.toSorted((a, b) => (a.alarmAtMs ?? 0) - (b.alarmAtMs ?? 0));
      if (!next) return null;
      if (next.alarmAtMs === null) return "something is owed and no alarm is set";
      // An alarm may be late. The second one is, so that it need not be asked a dozen times what may still land.
      const lateMs = alarms === 1 ? UNRESOLVED_INTENT_MS : 0;
      world.nowMs = Math.max(world.nowMs, next.alarmAtMs) + lateMs;
      const { alarms: before } = next;
      await world.run(() => next.alarms > before);
    }
    return "something is still owed after many alarms";
  }

  /** @param name Such as `<tenant>/1/0`. */
  #named(name: string): Host {
    const host = this.#hosts[Number(name.split("/").at(-1))];
    if (!host) throw new Error(`there is no writer ${name}`);
    return host;
  }
}

function owes(host: Host): boolean {
  if (host.instances === 0) return false;
  const count = (sql: string) => host.sql.exec<{ n: number }>(sql).one().n;
  return (
    count("SELECT count(*) AS n FROM intents") +
      count("SELECT count(*) AS n FROM documents WHERE dirty = 1") >
    0
  );
}
