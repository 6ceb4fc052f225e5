/** An isolate of the Worker: requests come to it as over HTTP, and it may die of each. */
import { app } from "../../worker/app.ts";
import { type Actor, actor, really, type World } from "./world.ts";

export interface Asked {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  /** Below `/api/v1`. */
  path: string;
  body?: unknown;
  idempotencyKey?: string | undefined;
  consistencyToken?: string | undefined;
}

export interface Reply {
  status: number;
  headers: Headers;
  text: string;
}

interface FrontDependencies {
  world: World;
  env: Env;
  key: string;
  complain: (text: string) => void;
}

const TRANSIT_MS = 20;

export class Front {
  readonly #d: FrontDependencies;
  readonly #aheadMs: number;
  readonly #open = new Set<Actor>();
  #requests = 0;

  constructor(dependencies: FrontDependencies) {
    this.#d = dependencies;
    this.#aheadMs = dependencies.world.someSkewMs();
  }

  /** @returns null when the connection was lost: what was asked for may have happened. */
  ask(asked: Asked): Promise<Reply | null> {
    const { world } = this.#d;
    const client = actor();
    this.#requests += 1;
    return new Promise((resolve) => {
      const tell = (reply: Reply | null) =>
        world.after(world.someMs(TRANSIT_MS), { label: "reply", actor: client, act: () => resolve(reply) });
      const front = world.actor(`front ${this.#requests}`, this.#aheadMs, (reason) => {
        world.note(`${front.name} dies: ${reason}`);
        this.#open.delete(front);
        world.kill(front);
        tell(null);
      });
      this.#open.add(front);
      const act = () => void this.#answer(front, asked).then(tell);
      world.after(world.someMs(TRANSIT_MS), { label: "request", actor: front, act });
    });
  }

  kill(reason: string): void {
    for (const front of [...this.#open]) front.die?.(reason);
  }

  async #answer(front: Actor, asked: Asked): Promise<Reply> {
    const { world, env, complain } = this.#d;
    const what = `${asked.method} ${asked.path}`;
    const background = (work: Promise<unknown>) =>
      void work.catch((cause) => complain(`after ${what}: ${cause instanceof Error ? cause.stack : cause}`));
    const context = { waitUntil: background, passThroughOnException: () => {}, props: {} };
    const response = await app.fetch(
      requestOf(asked, this.#d.key),
      env,
      context as unknown as ExecutionContext,
    );
    const text = await really(() => response.text());
    world.note(`${front.name}: ${what} is ${response.status} ${text.slice(0, 300)}`);
    const { status, headers } = response;
    if (status >= 500 && (status !== 503 || !headers.has("retry-after") || world.isHealthy))
      complain(`${what} is ${status} ${text}`);
    return { status, headers, text };
  }
}

function requestOf(asked: Asked, key: string): Request {
  const { method, path, body, idempotencyKey, consistencyToken } = asked;
  const bytes = new TextEncoder().encode(body === undefined ? "" : JSON.stringify(body));
  const headers = {
    "x-api-key": key,
    "content-type": "application/json",
    "content-length": String(bytes.length),
    ...(idempotencyKey !== undefined && { "idempotency-key": idempotencyKey }),
    ...(consistencyToken !== undefined && { "x-consistency-token": consistencyToken }),
  };
  const request = new Request(`https://store.example/api/v1${path}`, { method, headers });
  // The runtime would read it in a time of its own.
  const read = {
    arrayBuffer: async () => bytes.slice().buffer,
    text: async () => new TextDecoder().decode(bytes),
  };
  return new Proxy(request, {
    get: (real, name) => {
      const value: unknown = Reflect.get(read, name) ?? Reflect.get(real, name);
      return typeof value === "function" ? value.bind(real) : value;
    },
  });
}
