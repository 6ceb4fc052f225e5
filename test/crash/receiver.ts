/**
 * Who a subscription delivers to: an HTTP server in the process of the clients, which outlives the service. Now and
 * then it fails, so that deliveries are tried again.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { randomOf } from "../../scripts/random.ts";
import type { FeatureAvailable } from "../../worker/events/feature-available.ts";
import { type Answer, ask } from "../setup/service.ts";

/** Of a hundred attempts. */
const FAILURES = 1;

export class Receiver {
  /** What it has accepted, in that order. */
  readonly accepted: FeatureAvailable[] = [];
  readonly unexpected: string[] = [];
  readonly figures = { attempts: 0, failed: 0 };
  readonly #server: Server;
  readonly #random: () => number;
  #subscription: { id: string; webhook: Webhook } | null = null;

  constructor(seed: number) {
    this.#random = randomOf(seed);
    this.#server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        const status = this.#receive(
          Buffer.concat(parts).toString(),
          request.headers as Record<string, string>,
        );
        response.writeHead(status).end();
      });
      // The service died while it was sending.
      request.on("error", () => response.destroy());
    });
  }

  /** Listens, and is subscribed to everything. */
  async subscribe(service: { url: string }): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const { port } = this.#server.address() as AddressInfo;
    const body = { url: `http://127.0.0.1:${port}/events` };
    const answer: Answer<{ subscription_id: string; secret: string }> = await ask(
      service,
      "POST /api/v1/subscriptions",
      { body },
    );
    if (answer.status !== 201) throw new Error(`the subscription was answered ${answer.status}`);
    const { subscription_id: id, secret } = answer.body;
    this.#subscription = { id, webhook: new Webhook(secret) };
  }

  /** Deliveries that the service still owes, and those that it has given up. */
  async owed(service: { url: string }): Promise<{ pending: number; dead: number }> {
    const path = `/api/v1/subscriptions/${this.#subscription?.id}`;
    return (await ask<{ pending: number; dead: number }>(service, `GET ${path}`)).body;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #receive(body: string, headers: Record<string, string>): number {
    this.figures.attempts += 1;
    if (this.#random() * 100 < FAILURES) {
      this.figures.failed += 1;
      return 500;
    }
    try {
      const event = this.#subscription?.webhook.verify(body, headers) as FeatureAvailable | undefined;
      if (!event || event.event_id !== headers["webhook-id"])
        throw new Error("webhook-id is not the event's");
      this.accepted.push(event);
      return 204;
    } catch (cause) {
      this.unexpected.push(`a delivery was not as it should be: ${cause} ${body.slice(0, 300)}`);
      return 400;
    }
  }
}
