/** One request, and what became of it: an answer, or a failure with its name. */
import { setTimeout as sleep } from "node:timers/promises";
import { networkFault } from "../network-fault.ts";
import type { Asked } from "./mix.ts";
import type { Outcome } from "./tally.ts";

export interface Target {
  url: string;
  key: string | null;
  timeoutMs: number;
}

type Result = { kind: "answered"; text: string } | { kind: "failed"; what: string };

/**
 * @param fromMs When the request was due: its latency counts from there.
 * @param nowMs The clock, of {@link fromMs} too.
 */
export async function ask(
  target: Target,
  asked: Omit<Asked, "kind">,
  { fromMs, nowMs }: { fromMs: number; nowMs: () => number },
): Promise<Outcome> {
  const result = await resultOf(target, asked);
  const latencyMs = nowMs() - fromMs;
  if (result.kind === "failed") return { ...result, latencyMs };
  return { kind: "answered", latencyMs, sources: sourcesOf(result.text) };
}

export async function resultOf(target: Target, { method, path, body }: Omit<Asked, "kind">): Promise<Result> {
  try {
    const response = await fetch(target.url + path, {
      method,
      headers: {
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(target.key !== null && { "x-api-key": target.key }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(target.timeoutMs),
    });
    // Also of a refusal: a connection is free again only when its answer has been read.
    const text = await response.text();
    if (response.ok) return { kind: "answered", text };
    return { kind: "failed", what: `${response.status} ${titleOf(text)}`.trim() };
  } catch (cause) {
    return { kind: "failed", what: networkFault(cause) };
  }
}

/** `source` of an entity; features of the service's users may be called so too, but their values stand elsewhere. */
function sourcesOf(text: string): string[] {
  return [...text.matchAll(/"revision":\d+,"source":"(memory|kv|d1)"/g)].map(([, source = ""]) => source);
}

/** Of a problem (RFC 9457). */
function titleOf(text: string): string {
  try {
    const { title } = JSON.parse(text) as { title?: unknown };
    return typeof title === "string" ? title : "";
  } catch {
    return "";
  }
}

const FIND_ATTEMPTS = 3;
const FIND_PAUSE_MS = 500;

/** @returns null when the service is there and healthy enough to answer, else what is wrong. */
export async function findService(target: Target): Promise<string | null> {
  let what = "";
  for (let attempt = 1; attempt <= FIND_ATTEMPTS; attempt += 1) {
    const result = await resultOf(target, { method: "GET", path: "/health", body: undefined });
    if (result.kind === "answered") return isHealth(result.text) ? null : "its /health is another's";
    what = result.what;
    // Nobody listens: waiting would not help.
    if (what === "network: ECONNREFUSED" || what === "network: ENOTFOUND") break;
    if (attempt < FIND_ATTEMPTS) await sleep(FIND_PAUSE_MS);
  }
  return what;
}

/** As this service answers it: any other that answers 200 to whatever it is asked would else be measured. */
function isHealth(text: string): boolean {
  try {
    return "tables_available" in (JSON.parse(text) as object);
  } catch {
    return false;
  }
}
