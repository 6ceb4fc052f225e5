/**
 * The signature of a webhook request, as https://www.standardwebhooks.com says (version 1, symmetric): a receiver
 * proves with it that a request came from here, unchanged and recently.
 */
const SECRET_PREFIX = "whsec_";
const HMAC = { name: "HMAC", hash: "SHA-256" };

/**
 * The secret of a subscription: `whsec_` and 32 bytes in base64. It follows from the service's pepper, so that none is
 * stored anywhere; another nonce makes another secret.
 */
export async function signingSecret(pepper: string, subscriptionId: string, nonce: string): Promise<string> {
  // As JSON, so that no two pairs read alike; named, because the pepper makes other secrets too.
  const purpose = JSON.stringify(["webhook-signing", subscriptionId, nonce]);
  return SECRET_PREFIX + (await hmac(Buffer.from(pepper), Buffer.from(purpose))).toString("base64");
}

/**
 * The three headers that go with `body`. They are of the moment: a repetition has the same `id`, but a timestamp and
 * so a signature of its own.
 */
export async function signatureHeaders(request: {
  secret: string;
  /** What a receiver drops repetitions by; without `.`, which separates the signed parts. */
  id: string;
  timestampSeconds: number;
  body: Uint8Array<ArrayBuffer>;
}): Promise<Record<string, string>> {
  const { secret, id, timestampSeconds, body } = request;
  const key = Buffer.from(secret.slice(SECRET_PREFIX.length), "base64");
  const signed = Buffer.concat([Buffer.from(`${id}.${timestampSeconds}.`), body]);
  return {
    "webhook-id": id,
    "webhook-timestamp": String(timestampSeconds),
    "webhook-signature": `v1,${(await hmac(key, signed)).toString("base64")}`,
  };
}

async function hmac(key: Uint8Array<ArrayBuffer>, data: Uint8Array<ArrayBuffer>): Promise<Buffer> {
  const imported = await crypto.subtle.importKey("raw", key, HMAC, false, ["sign"]);
  return Buffer.from(await crypto.subtle.sign(HMAC, imported, data));
}
