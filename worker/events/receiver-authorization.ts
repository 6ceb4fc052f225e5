/**
 * The `Authorization` that a receiver wants, and how it is kept: encrypted with a key that follows from the service's
 * pepper, for one subscription and one origin of its URL. So a row that somebody copies to another subscription, or a URL
 * that is changed past the service, sends it nowhere. No clock and no storage.
 */
import type { Subscription } from "./subscription-store.ts";

/** Whose it is, and to where it is sent. */
type Belonging = Pick<Subscription, "tenantId" | "subscriptionId" | "url">;

/** Whether there is one. What older code has remembered of a subscription lacks the field. */
export function isAuthorized({ authorization }: Partial<Pick<Subscription, "authorization">>): boolean {
  return authorization != null;
}

/** What AES-GCM takes at best. Random: of one key 2^32 may be made. */
const IV_BYTES = 12;

/** @returns base64 of the IV and what AES-GCM makes with it; another one each time. */
export async function sealAuthorization(
  authorization: string,
  pepper: string,
  belonging: Belonging,
): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const key = await keyOf(pepper);
  const sealed = await crypto.subtle.encrypt(cipher(iv, belonging), key, Buffer.from(authorization));
  return Buffer.concat([iv, new Uint8Array(sealed)]).toString("base64");
}

/** @returns null for what was sealed with another pepper, for another subscription or another origin, or is damaged. */
export async function openAuthorization(
  sealed: string,
  pepper: string,
  belonging: Belonging,
): Promise<string | null> {
  const bytes = new Uint8Array(Buffer.from(sealed, "base64"));
  const [iv, encrypted] = [bytes.subarray(0, IV_BYTES), bytes.subarray(IV_BYTES)];
  const key = await keyOf(pepper);
  try {
    return Buffer.from(await crypto.subtle.decrypt(cipher(iv, belonging), key, encrypted)).toString();
  } catch {
    return null;
  }
}

function cipher(iv: Uint8Array<ArrayBuffer>, { tenantId, subscriptionId, url }: Belonging) {
  // As JSON, so that no two of them read alike.
  const belonging = JSON.stringify([tenantId, subscriptionId, new URL(url).origin]);
  return { name: "AES-GCM", iv, additionalData: Buffer.from(belonging) };
}

async function keyOf(pepper: string): Promise<CryptoKey> {
  const secret = await crypto.subtle.importKey("raw", Buffer.from(pepper), "HKDF", false, ["deriveKey"]);
  // Named, because the pepper makes other secrets too. It is random, hence needs no salt.
  const info = Buffer.from("receiver-authorization");
  const hkdf = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info };
  return crypto.subtle.deriveKey(hkdf, secret, { name: "AES-GCM", length: 256 }, false, [
    "encrypt",
    "decrypt",
  ]);
}
