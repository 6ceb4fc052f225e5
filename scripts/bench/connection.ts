/**
 * One HTTP/1.1 connection that is kept alive, with one request at a time. It parses nothing but the status and the
 * length: what a load generator spends on an answer is missing from the service, on a machine of two cores.
 */
import { connect, type Socket } from "node:net";

const HEAD_END = "\r\n\r\n";

export interface RawAnswer {
  status: number;
  bodyBytes: number;
  /** The end of the body; what came with the last packet. */
  tail: Buffer;
}

export class Connection {
  readonly #socket: Socket;
  readonly #ended: (cause: Error) => void;
  #onAnswer: ((answer: RawAnswer) => void) | null = null;
  #head: Buffer | null = null;
  #status = 0;
  #bodyBytes = 0;
  #missingBytes = 0;

  private constructor(socket: Socket, ended: (cause: Error) => void) {
    this.#socket = socket;
    this.#ended = ended;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.#take(chunk));
    socket.on("error", ended);
    socket.on("close", () => ended(new Error("the connection was closed")));
  }

  /** @param ended Called when the connection breaks, and after {@link close}. */
  static open(port: number, ended: (cause: Error) => void): Promise<Connection> {
    const socket = connect(port, "127.0.0.1");
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new Connection(socket, ended));
      });
    });
  }

  get isFree(): boolean {
    return this.#onAnswer === null;
  }

  send(request: Uint8Array, onAnswer: (answer: RawAnswer) => void): void {
    this.#onAnswer = onAnswer;
    this.#socket.write(request);
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    let body = chunk;
    if (this.#missingBytes === 0) {
      const received = this.#head ? Buffer.concat([this.#head, chunk]) : chunk;
      const headEnd = received.indexOf(HEAD_END);
      if (headEnd < 0) {
        this.#head = received;
        return;
      }
      this.#head = null;
      if (!this.#readHead(received.toString("latin1", 0, headEnd))) return;
      body = received.subarray(headEnd + HEAD_END.length);
    }
    this.#missingBytes -= body.length;
    if (this.#missingBytes > 0) return;
    const onAnswer = this.#onAnswer;
    this.#onAnswer = null;
    onAnswer?.({ status: this.#status, bodyBytes: this.#bodyBytes, tail: body });
  }

  #readHead(head: string): boolean {
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined) {
      this.#ended(new Error(`an answer without Content-Length: ${head.slice(0, 200)}`));
      return false;
    }
    this.#status = Number(head.slice(9, 12));
    this.#bodyBytes = Number(length);
    this.#missingBytes = this.#bodyBytes;
    return true;
  }
}

export interface Request {
  /** `GET /path`. */
  line: string;
  /** JSON. */
  body?: unknown;
}

/** The bytes of a request to a service on this machine. */
export function bytesOf({ line, body }: Request, headers: Record<string, string>): Uint8Array {
  const text = body === undefined ? "" : JSON.stringify(body);
  const described = {
    host: "127.0.0.1",
    ...headers,
    ...(body !== undefined && {
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(text)),
    }),
  };
  const lines = Object.entries(described).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${line} HTTP/1.1\r\n${lines.join("")}\r\n${text}`);
}
