/** Requests to a running service, tried again while it is busy or away. */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { networkFault } from "./network-fault.ts";

const MAX_ATTEMPTS = 8;
const FIRST_WAIT_MS = 250;
const MAX_WAIT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 60_000;

/** What the user must learn, in words for the user: the run ends with its message. */
export class CommandFault extends Error {}

export interface Answer {
  status: number;
  body: unknown;
}

const problem = z.object({ detail: z.string() });

export class Service {
  readonly url: string;
  readonly #key: string | null;

  /** @param key Null: requests carry none, as a service in development allows. */
  constructor(url: string, key: string | null) {
    this.url = url;
    this.#key = key;
  }

  withKey(key: string): Service {
    return new Service(this.url, key);
  }

  /** @throws CommandFault when nothing answers, at once: there is no sense in waiting for what was never started. */
  async assertThere(): Promise<void> {
    await fetch(`${this.url}/health`).catch(() => {
      throw new CommandFault(`Nothing answers at ${this.url}. Start it: npm run serve (or npm run dev).`);
    });
  }

  /** As {@link postText}, of a value. */
  post(path: string, body: unknown): Promise<Answer> {
    return this.postText(path, JSON.stringify(body));
  }

  /**
   * For requests that may be sent again, whatever became of them: their writes carry event times.
   *
   * @param text JSON.
   * @throws CommandFault when it stays 429, 5xx or without an answer.
   */
  async postText(path: string, text: string): Promise<Answer> {
    for (let attempt = 1; ; attempt += 1) {
      const tried = await this.#try(path, text);
      if ("answer" in tried) return tried.answer;
      if (attempt === MAX_ATTEMPTS) throw new CommandFault(`POST ${path}: ${tried.fault}, ${attempt} times.`);
      await sleep(waitMs(attempt, tried.retryAfter));
    }
  }

  async #try(
    path: string,
    body: string,
  ): Promise<{ answer: Answer } | { fault: string; retryAfter: string | null }> {
    const response = await this.#send(path, body).catch(networkFault);
    if (typeof response === "string") return { fault: response, retryAfter: null };
    const { status, headers } = response;
    // A text that breaks off is no answer.
    const text = await response.text().catch(() => null);
    if (text === null) return { fault: "the answer broke off", retryAfter: null };
    const answer = { status, body: parsed(text) };
    // Of 5xx the service itself answers 503; others are those of a proxy on the way, or of the platform.
    if (status !== 429 && status < 500) return { answer };
    return { fault: detailOf(answer), retryAfter: headers.get("retry-after") };
  }

  #send(path: string, body: string): Promise<Response> {
    return fetch(this.url + path, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(this.#key !== null && { "x-api-key": this.#key }),
      },
      body,
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
  }
}

/** Null for what is no JSON, as of a proxy on the way. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @throws CommandFault unless the answer is of one of these statuses; with what the service said. */
export function expectStatus(answer: Answer, path: string, ...expected: number[]): void {
  if (!expected.includes(answer.status)) throw new CommandFault(`POST ${path}: ${detailOf(answer)}`);
}

/** The status, and what the service said. */
export function detailOf({ status, body }: Answer): string {
  const told = problem.safeParse(body);
  return told.success ? `${status} ${told.data.detail}` : String(status);
}

/** What the service asks for, else twice as long each time; a little apart, so that not all come back at once. */
function waitMs(attempt: number, retryAfter: string | null): number {
  const askedMs = (Number(retryAfter) || 0) * 1_000;
  const ownMs = Math.min(FIRST_WAIT_MS * 2 ** (attempt - 1), MAX_WAIT_MS);
  return Math.max(askedMs, ownMs) * (1 + Math.random() / 4);
}
