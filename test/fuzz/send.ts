/** Sends a request as it is: `fetch` would put its path in order first. */
import { Agent, request as startRequest } from "node:http";

export interface FuzzRequest {
  /** What is wrong with it, for the reader. */
  kind: string;
  method: string;
  /** With the query, in the form in which it is sent. */
  path: string;
  headers: Record<string, string>;
  body: string | null;
  /** Each character of the body is one byte, and the bytes are no UTF-8. */
  isBinary?: boolean;
}

export interface FuzzAnswer {
  status: number;
  headers: Record<string, string>;
  text: string;
  bytes: Uint8Array;
}

const ANSWER_WITHIN_MS = 60_000;
const agent = new Agent({ keepAlive: true });

export const endConnections = () => agent.destroy();

const bytesOf = ({ body, isBinary }: FuzzRequest) => Buffer.from(body ?? "", isBinary ? "latin1" : "utf8");

/** @throws when there is no whole answer. */
export function send(url: string, given: FuzzRequest): Promise<FuzzAnswer> {
  const { method, path, headers, body } = given;
  const { hostname, port } = new URL(url);
  const bytes = bytesOf(given);
  return new Promise((resolve, reject) => {
    const own = { ...headers, ...(body !== null && { "content-length": String(bytes.length) }) };
    const options = { agent, hostname, port, method, path, headers: own, timeout: ANSWER_WITHIN_MS };
    const sent = startRequest(options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", reject);
      response.once("end", () => {
        const { statusCode: status = 0, headers: answered } = response;
        const entries = Object.entries(answered).map(([name, value]) => [name, String(value)]);
        const bytes = Buffer.concat(chunks);
        resolve({ status, headers: Object.fromEntries(entries), text: bytes.toString("utf8"), bytes });
      });
    });
    sent.once("timeout", () => sent.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS} ms`)));
    sent.once("error", reject);
    sent.end(body === null ? undefined : bytes);
  });
}

const quoted = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** The same request for a shell. */
export function curlOf(url: string, given: FuzzRequest): string {
  const { method, path, headers, body } = given;
  const own = Object.entries(headers).map(
    ([name, value]) => `-H ${quoted(value === "" ? `${name};` : `${name}: ${value}`)}`,
  );
  const parts = ["curl -i --globoff --path-as-is", `-X ${method}`, ...own, quoted(`${url}${path}`)];
  if (body === null) return parts.join(" ");
  // A shell's text cannot hold every byte; base64 can.
  const isPlain = !given.isBinary && /^[\x20-\x7e]*$/.test(body);
  if (isPlain) return [...parts, `--data-binary ${quoted(body)}`].join(" ");
  return `echo ${bytesOf(given).toString("base64")} | base64 -d | ${[...parts, "--data-binary @-"].join(" ")}`;
}
