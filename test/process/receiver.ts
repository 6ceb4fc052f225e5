/** A receiver of events as somebody else runs it: a plain HTTP server that notes what comes and answers as it is told. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Received {
  path: string;
  headers: Record<string, string>;
  body: Buffer;
  atMs: number;
  /** Null as long as it is not answered. */
  status: number | null;
  /** When the answer was on its way. */
  endMs: number | null;
}

/** What to answer; `hang`: nothing, ever; `endless`: 200 and a body without end. */
export type Reply =
  | { status: number; headers?: Record<string, string>; body?: string; afterMs?: number }
  | "hang"
  | "endless";

export class Receiver {
  readonly all: Received[] = [];
  /** By path; what is not here answers 200. */
  readonly replies = new Map<string, (received: Received) => Reply>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => void this.#take(request, response));
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  urlOf(path: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${path}`;
  }

  at(path: string): Received[] {
    return this.all.filter((received) => received.path === path);
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const received: Received = {
      path: request.url ?? "",
      headers: request.headers as Record<string, string>,
      body: Buffer.concat(parts),
      atMs: performance.now(),
      status: null,
      endMs: null,
    };
    this.all.push(received);
    const reply = this.replies.get(received.path)?.(received) ?? { status: 200 };
    if (reply === "hang") return;
    if (reply === "endless") return endless(response);
    if (reply.afterMs) await new Promise((resolve) => setTimeout(resolve, reply.afterMs));
    received.status = reply.status;
    received.endMs = performance.now();
    response.writeHead(reply.status, reply.headers).end(reply.body ?? "");
  }
}

function endless(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/plain" });
  const more = setInterval(() => response.write("x".repeat(100_000)), 10);
  response.on("close", () => clearInterval(more));
}
