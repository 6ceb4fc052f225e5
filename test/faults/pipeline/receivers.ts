/** The receivers of subscriptions: each has an address of its own, may be down, and answers what the schedule says. */
import type { FeatureAvailable } from "../../../worker/events/feature-available.ts";
import { entityKey } from "../../../worker/keys.ts";
import type { FaultLayer } from "../bindings.ts";
import { type Actor, actor, type World } from "../world.ts";
import type { Deliveries, Delivery } from "./deliveries.ts";

interface ReceiverDependencies {
  world: World;
  layer: FaultLayer;
  deliveries: Deliveries;
  /** What who acts keeps. */
  sqlOf: (who: Actor) => SqlStorage;
}

const ADDRESS = "http://127.0.0.1:9000/";

export const addressOf = (path: string) => ADDRESS + path;

/** Answers of a receiver that has not taken an event. */
const BAD_ANSWERS: readonly [number, Record<string, string>][] = [
  [500, {}],
  [503, { "retry-after": "20" }],
  [429, { "retry-after": "2" }],
  [302, { location: "http://127.0.0.1:9000/elsewhere" }],
  [404, {}],
];

export class Receivers {
  readonly down = new Set<string>();
  requests = 0;
  readonly #d: ReceiverDependencies;

  constructor(dependencies: ReceiverDependencies) {
    this.#d = dependencies;
  }

  readonly fetch = (async (url: string, init: RequestInit) => {
    const { world, layer, deliveries, sqlOf } = this.#d;
    this.requests += 1;
    const path = url.slice(ADDRESS.length);
    const event = JSON.parse(new TextDecoder().decode(init.body as Uint8Array)) as FeatureAvailable;
    const delivery: Delivery = {
      subscription: path,
      sender: actor(),
      event,
      waitingBefore: waitingBefore(sqlOf(actor()), event),
      isOver: false,
    };
    deliveries.begin(delivery);
    const label = `post ${event.entity_id}/${event.resource_name} ${event.revision} to ${path}`;
    const answered = layer.call(
      { store: "receiver", operation: "post", label },
      async () => {
        const isDown = this.down.has(path) && !world.isHealthy;
        if (!isDown) deliveries.accept(delivery, world.steps);
        return new Response(null, { status: isDown ? 503 : 200 });
      },
      async ({ pick }) => {
        const [status, headers] = BAD_ANSWERS[Math.floor(pick * BAD_ANSWERS.length)] ?? [500, {}];
        return new Response(null, { status, headers });
      },
    );
    try {
      return await unlessAborted(answered as Promise<Response>, init.signal);
    } finally {
      deliveries.end(delivery, world.steps);
    }
  }) as typeof fetch;
}

/** But for one that was revived and not tried yet: it may have come beside what is new at this very moment. */
function waitingBefore(sql: SqlStorage, { entity_type, entity_id, revision }: FeatureAvailable): number {
  const key = entityKey({ entityType: entity_type, entityValue: entity_id });
  const waiting = `SELECT count(*) AS n FROM deliveries WHERE status = 'pending' AND entity = ? AND revision < ?
    AND NOT (attempts = 0 AND coalesce(last_status, last_error) IS NOT NULL)`;
  return sql.exec<{ n: number }>(waiting, key, revision).one().n;
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}
