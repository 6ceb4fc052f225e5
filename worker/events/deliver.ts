/**
 * One try: events to a receiver, and what became of each. Whatever the receiver does, a try ends within its time and
 * holds no more memory than its limit: redirects are not followed, of an answer no more is read than is needed.
 */
import type { Settings } from "../env.ts";
import { MAX_DELIVERY_ERROR_CHARACTERS, MAX_RECEIVER_ANSWER_BYTES } from "../limits.ts";
import { parseRetryAfter } from "./delivery-schedule.ts";
import { encodeEvent } from "./encode-event.ts";
import type { FeatureAvailable } from "./feature-available.ts";
import { kafkaOutcome, kafkaRequest } from "./kafka-rest.ts";
import { openAuthorization } from "./receiver-authorization.ts";
import { checkReceiverAddress, resolveName } from "./receiver-url.ts";
import type { Subscription } from "./subscription-store.ts";
import { signatureHeaders, signingSecret } from "./webhook-signature.ts";

type Receiver = Pick<
  Subscription,
  "tenantId" | "subscriptionId" | "secretNonce" | "kind" | "url" | "format" | "topic" | "authorization"
>;

export interface Attempt {
  /** The status of the answer; null when there was none. */
  status: number | null;
  /** In words without any value, URL or secret; null when all was delivered. */
  error: string | null;
  /** Which of the events were not delivered. */
  failed: number[];
  retryAfterMs: number | null;
  /** Another try would fail the same way. */
  isPermanent: boolean;
}

interface ReceiverRequest {
  url: string;
  headers: Record<string, string>;
  body: Uint8Array<ArrayBuffer>;
}

/** The pepper is another one by now, or none. */
const UNREADABLE =
  "not sent: its authorization cannot be read with the API_KEY_SECRET that the service has now; give it anew";

/** @param events One for a webhook; as many as one request takes for a Kafka REST proxy. */
export async function deliver(
  events: readonly FeatureAvailable[],
  receiver: Receiver,
  settings: Settings,
): Promise<Attempt> {
  const timeoutMs = settings.deliveryTimeoutMs;
  // Not `AbortSignal.timeout`: its timer runs on after the answer, and the platform allows 10,000 of them.
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeoutMs);
  try {
    return await tryOnce(events, receiver, { settings, signal: abort.signal });
  } catch {
    // The engine's own words may hold the URL.
    const isLate = abort.signal.aborted;
    return failure(events, {
      error: isLate ? `no answer within ${timeoutMs} ms` : "the receiver could not be reached",
    });
  } finally {
    clearTimeout(timer);
  }
}

async function tryOnce(
  events: readonly FeatureAvailable[],
  receiver: Receiver,
  { settings, signal }: { settings: Settings; signal: AbortSignal },
): Promise<Attempt> {
  const { isDevelopment } = settings;
  const fail = (error: string) => failure(events, { error });
  const request = await requestOf(events, receiver, settings);
  if (request === null) return fail("the service has no API_KEY_SECRET to sign with");
  const authorization = await authorizationOf(receiver, settings);
  // Never without it. Who looks at the delivery can mend it, and then it goes.
  if (authorization === null) return fail(UNREADABLE);
  const checked = await unlessAborted(
    checkReceiverAddress(new URL(request.url), { isDevelopment, resolve: resolveName }),
    signal,
  );
  if (checked.kind === "refused") return fail(`not sent: the URL ${checked.reason}`);
  if (checked.kind === "unknown") return fail(`not sent: ${checked.reason}`);
  const { url, body } = request;
  const headers = { ...request.headers, ...(authorization !== "" && { authorization }) };
  const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
  return receiver.kind === "webhook"
    ? await judgeWebhook(events, response)
    : await judgeKafka(events, response, { isAuthorized: authorization !== "", signal });
}

/** @returns `""` where there is none; null when it cannot be read. */
async function authorizationOf(receiver: Receiver, { apiKeySecret }: Settings): Promise<string | null> {
  const { authorization } = receiver;
  if (!authorization) return "";
  return apiKeySecret === null ? null : openAuthorization(authorization, apiKeySecret, receiver);
}

/** @returns null when there is nothing to sign with. */
async function requestOf(
  events: readonly FeatureAvailable[],
  receiver: Receiver,
  settings: Settings,
): Promise<ReceiverRequest | null> {
  const { url, format, topic, subscriptionId, secretNonce } = receiver;
  if (receiver.kind === "kafka-rest") {
    return kafkaRequest([...events], { url, topic: topic ?? settings.topicName, format });
  }
  const [event] = events;
  const pepper = settings.apiKeySecret;
  if (!event || pepper === null) return null;
  const { body, contentType } = encodeEvent(event, format);
  const secret = await signingSecret(pepper, subscriptionId, secretNonce);
  const timestampSeconds = Math.floor(Date.now() / 1_000);
  const signed = await signatureHeaders({ secret, id: event.event_id, timestampSeconds, body });
  return {
    url,
    headers: { "content-type": contentType, "user-agent": "edge-feature-store", ...signed },
    body,
  };
}

async function judgeWebhook(events: readonly FeatureAvailable[], response: Response): Promise<Attempt> {
  const { status } = response;
  await discard(response.body);
  if (response.ok) return delivered(status);
  const isRedirect = status >= 300 && status < 400;
  const error = isRedirect ? `answered ${status}: redirects are not followed` : `answered ${status}`;
  return failure(events, { error, status, response });
}

async function judgeKafka(
  events: readonly FeatureAvailable[],
  response: Response,
  { isAuthorized, signal }: { isAuthorized: boolean; signal: AbortSignal },
): Promise<Attempt> {
  const { status } = response;
  const text = await unlessAborted(readCapped(response.body), signal).finally(() => discard(response.body));
  if (text === null) return failure(events, { error: "its answer is too long", status, response });
  const outcome = kafkaOutcome({ status, text }, events.length, isAuthorized);
  if (outcome.kind === "delivered") return delivered(status);
  return {
    ...failure(events, { error: outcome.reason, status, response }),
    failed: outcome.failedIndexes,
    isPermanent: outcome.cause === "permanent",
  };
}

function delivered(status: number): Attempt {
  return { status, error: null, failed: [], retryAfterMs: null, isPermanent: false };
}

function failure(
  events: readonly FeatureAvailable[],
  { error, status = null, response }: { error: string; status?: number | null; response?: Response },
): Attempt {
  return {
    status,
    error: error.slice(0, MAX_DELIVERY_ERROR_CHARACTERS),
    failed: events.map((_, i) => i),
    retryAfterMs: parseRetryAfter(response?.headers.get("retry-after") ?? null, Date.now()),
    isPermanent: false,
  };
}

/** @returns null when there is more than may be read. */
async function readCapped(body: ReadableStream<Uint8Array> | null): Promise<string | null> {
  if (body === null) return "";
  const parts: Uint8Array[] = [];
  let bytes = 0;
  const reader = body.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      bytes += part.value.length;
      if (bytes > MAX_RECEIVER_ANSWER_BYTES) return null;
      parts.push(part.value);
    }
    return new TextDecoder().decode(Buffer.concat(parts));
  } finally {
    reader.releaseLock();
  }
}

/** An unread answer would hold one of the few connections. */
async function discard(body: ReadableStream | null): Promise<void> {
  await body?.cancel().catch(() => {});
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  return Promise.race([work, aborted]);
}
