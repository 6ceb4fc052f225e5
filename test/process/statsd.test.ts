/** The StatsD exporter of the real service, with the StatsD server of npm, without one, and with one that hangs. */
import { createServer, type Server, type Socket } from "node:net";
import { afterAll, describe, expect, test } from "vitest";
import { ask, endServices, newDirectory, type Service, startService, waitUntil } from "../setup/service.ts";
import { StatsdServer } from "./statsd-server.ts";

const PREFIX = "shop.features";
/** Of the second that an isolate gathers, and of a machine that is busy. */
const ARRIVE_MS = 60_000;
/** More than one flush samples. */
const READS = 60;

const serve = (port: number, more: string[] = []) =>
  startService({
    command: "serve",
    state: newDirectory(),
    args: [
      ...["STATSD_HOST:127.0.0.1", `STATSD_PORT:${port}`, `STATSD_PREFIX:${PREFIX}`, ...more].flatMap(
        (variable) => ["--var", variable],
      ),
    ],
  });

const write = (service: Service, entityValue: string) =>
  ask(service, "POST /api/v1/items", {
    body: {
      meta: { source: "prediction_service" },
      data: {
        entity_type: "bright_uid",
        entity_value: entityValue,
        feature_list: [{ category: "d0_unauth_features", features: { statsd_secret_feature: "hush" } }],
      },
    },
  });

const read = (service: Service, entityValue: string) =>
  ask(service, `GET /api/v1/get/item/${entityValue}/d0_unauth_features?entity_type=bright_uid`);

/** What StatsD makes of tags in names: Graphite's. */
const tagged = (name: string, tags: string) => `${PREFIX}.${name};${tags}`;

const READ_TAGS = (status: number, entityType = "bright_uid") =>
  `endpoint=-api-v1-get-item-entity_value-category;method=GET;status=${status};entity_type=${entityType}`;

const sumOf = (counters: Record<string, number>, begin: string) =>
  Object.entries(counters)
    .filter(([name]) => name.startsWith(begin))
    .reduce((total, [, value]) => total + value, 0);

afterAll(endServices);

describe("with the StatsD server of npm", () => {
  let statsd: StatsdServer | undefined;
  let service: Service;
  afterAll(async () => {
    await service?.kill();
    await statsd?.end();
  });

  test("its counters say what was asked, under the names and tags that are documented", async () => {
    const server = await StatsdServer.start(newDirectory());
    statsd = server;
    service = await serve(server.port);
    expect((await write(service, "statsd-secret-entity")).status).toBe(200);
    for (let i = 0; i < READS; i++) expect((await read(service, "statsd-secret-entity")).status).toBe(200);
    expect((await read(service, "statsd-secret-absent")).status).toBe(404);

    const readName = tagged("read.single_item", READ_TAGS(200));
    await waitUntil(
      () => {
        const counters = server.counters();
        return counters[readName] === READS && sumOf(counters, `${PREFIX}.queue.publish;`) > 0;
      },
      { timeoutMs: ARRIVE_MS, what: () => JSON.stringify(server.counters(), null, 1) },
    );
    const [counters, durations] = [server.counters(), server.durations()];
    expect(counters).toMatchObject({
      [tagged("http.request.count", READ_TAGS(200))]: READS,
      [tagged("http.response.200", READ_TAGS(200))]: READS,
      [tagged("http.response.404", READ_TAGS(404))]: 1,
      [tagged(
        "write.multi_category",
        "endpoint=-api-v1-items;method=POST;status=200;entity_type=bright_uid",
      )]: 1,
      [tagged("d1.put_item", "status=ok")]: 1,
      [tagged("queue.publish", "status=ok")]: 1,
    });
    expect(sumOf(counters, `${PREFIX}.d1.get_item;`)).toBeGreaterThan(0);
    for (const name of ["http.request.duration", "read.single_item.duration"])
      expect(durations[tagged(name, READ_TAGS(200))], name).toBeCloseTo(READS, 6);
    expect(counters["statsd.bad_lines_seen"]).toBe(0);
    expect(JSON.stringify(counters)).not.toMatch(/secret|hush|d0_unauth/);
  });
});

test("STATSD_TAGS=none sends names alone", async () => {
  const statsd = await StatsdServer.start(newDirectory());
  const service = await serve(statsd.port, ["STATSD_TAGS:none"]);
  for (let i = 0; i < 3; i++) await read(service, "absent");
  await waitUntil(() => statsd.counters()[`${PREFIX}.http.response.404`] === 3, {
    timeoutMs: ARRIVE_MS,
    what: () => JSON.stringify(statsd.counters(), null, 1),
  });
  expect(Object.keys(statsd.counters()).join()).not.toContain(";");
  await service.kill();
  await statsd.end();
});

/** A server that takes connections and nothing else; it never reads. */
class Deaf {
  readonly sockets: Socket[] = [];
  readonly #server: Server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on("error", () => {});
    this.sockets.push(socket);
  });

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    return typeof address === "object" && address ? address.port : 0;
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
  }
}

/** Answers for a few flushes' time: every one of them whole, the service healthy, its own counts complete. */
async function servesOn(service: Service, until: () => boolean): Promise<void> {
  let reads = 0;
  await waitUntil(
    async () => {
      reads += 1;
      expect((await read(service, "absent")).status).toBe(404);
      return until();
    },
    { timeoutMs: ARRIVE_MS, what: () => `nothing has happened. The service printed:\n${service.output()}` },
  );
  expect((await ask<{ status: string }>(service, "GET /health")).body.status).toBe("healthy");
  const metrics = await ask<string>(service, "GET /metrics");
  const counted = /^feature_store_api_requests_total\{.*status="404".*\} (\d+)/m.exec(
    String(metrics.body),
  )?.[1];
  expect(Number(counted)).toBe(reads);
  expect(service.output()).not.toMatch(/uncaught|unhandled/i);
}

test("a server that is absent holds nothing up, and is logged once in a while", async () => {
  const deaf = new Deaf();
  const port = await deaf.listen();
  deaf.close();
  const service = await serve(port);
  const isLogged = () => /records were not sent to StatsD/.test(service.output());
  await servesOn(service, isLogged);
  expect(service.output().match(/records were not sent to StatsD/g)).toHaveLength(1);
  await service.kill();
});

test("a server that takes connections and never reads holds nothing up", async () => {
  const deaf = new Deaf();
  const service = await serve(await deaf.listen());
  await servesOn(service, () => deaf.sockets.length >= 2);
  await service.kill();
  deaf.close();
});
