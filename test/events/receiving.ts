/** Subscriptions and events for tests inside the runtime, where a receiver is a function in the place of the network. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { vi } from "vitest";
import { eventOf, type FeatureAvailable } from "../../worker/events/feature-available.ts";
import { Subscriber } from "../../worker/events/subscriber.ts";
import { subscriberObject } from "../../worker/events/subscriber-access.ts";
import { insertSubscription, type Subscription } from "../../worker/events/subscription-store.ts";
import { newId } from "../../worker/new-id.ts";
import { nowMicros } from "../../worker/timestamps.ts";

let made = 0;

/** Of a tenant of its own. */
export async function storedSubscription(over: Partial<Subscription> = {}): Promise<Subscription> {
  made += 1;
  const now = nowMicros();
  const subscription: Subscription = {
    // Of no other file: an object that was told of its deletion keeps nothing any more.
    subscriptionId: newId("sub_"),
    tenantId: `subscriber-${made}`,
    kind: "webhook",
    url: `https://receiver-${made}.test/`,
    format: "json",
    topic: null,
    description: null,
    entityTypes: null,
    categories: null,
    features: null,
    status: "active",
    secretNonce: "nonce",
    authorization: null,
    createdAt: now,
    updatedAt: now,
    ...over,
  };
  await insertSubscription(env.DB, subscription);
  return subscription;
}

export const objectOf = (subscription: Subscription) => subscriberObject(env, subscription);

export function event(
  { tenantId }: Subscription,
  entity: string,
  revision = 1,
  over: Partial<FeatureAvailable> = {},
): FeatureAvailable {
  const now = nowMicros();
  const row = { category: "c", revision, ingestedAt: now, eventTime: now, computeId: null, names: ["a"] };
  const ref = { entityType: "bright_uid", entityValue: entity };
  return { ...eventOf(tenantId, ref, { eventId: crypto.randomUUID(), ...row }), ...over };
}

export interface Delivered {
  url: string;
  headers: Headers;
  /** Of a Kafka REST proxy the records. */
  event: FeatureAvailable;
}

/** In the place of the network: notes what is sent to receivers, and answers for them. */
export function receiving(answer: (sent: Delivered) => Response | Promise<Response>): Delivered[] {
  const sent: Delivered[] = [];
  const network = globalThis.fetch;
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const url = String(input);
    if (!/^https:\/\/receiver-/.test(url)) return network(input, init);
    const headers = new Headers(init?.headers);
    const one = { url, headers, event: JSON.parse(new TextDecoder().decode(init?.body as Uint8Array)) };
    sent.push(one);
    return answer(one);
  });
  return sent;
}

export interface SubscriberObject {
  state: DurableObjectState;
  /** A new instance over the same storage: what the platform makes after an eviction or a crash. */
  start(over?: Partial<Env>): Subscriber;
  /** When the object is woken next; null: never. */
  alarmAt(): Promise<number | null>;
}

/**
 * Runs `use` inside the subscription's object. The instance that the platform makes for it never acts: only what the
 * test starts does.
 */
export async function inSubscriber<R>(
  subscription: Subscription,
  use: (object: SubscriberObject) => Promise<R>,
): Promise<R> {
  return runInDurableObject(objectOf(subscription), async (passive, state) => {
    Object.defineProperty(passive, "alarm", { value: async () => {} });
    return use({
      state,
      start: (over = {}) => new Subscriber(state, { ...env, DELIVERY_FIRST_RETRY_MS: "1", ...over }),
      alarmAt: () => state.storage.getAlarm(),
    });
  });
}

/** The real database: `asked` sees every statement before it is prepared, and may throw instead. */
export function databaseWatchedBy(asked: (sql: string) => void): D1Database {
  const watched = <T extends Pick<D1Database, "prepare">>(database: T): T =>
    new Proxy(database, {
      get: (target, property) => {
        if (property === "prepare") {
          return (sql: string) => {
            asked(sql);
            return target.prepare(sql);
          };
        }
        if (property === "withSession") return (from: string) => watched(env.DB.withSession(from));
        const value: unknown = Reflect.get(target, property);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  return watched(env.DB);
}

/** Throws at what is asked of subscriptions. */
export function failingSubscriptions(): D1Database {
  return databaseWatchedBy((sql) => {
    if (sql.includes("subscriptions")) throw new Error("the database does not answer");
  });
}
