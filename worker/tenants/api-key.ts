/**
 * An API key: its text, what is kept of it, and whether a record lets it in. No I/O and no clock.
 *
 * `fs_<id>_<secret>`: the id finds the record, the secret proves the holder. Both are hexadecimal, so that the parts
 * cannot be told apart wrongly and a double click selects the whole key. The secret ends with a seal that only who has
 * the pepper can make: keys that somebody made up are told from ours without a query, however many they are.
 */
import type { apiKeys } from "../db/schema.ts";
import { hmacSha256Of, isSameDigest, sha256Of } from "../digests.ts";
import { ID_CHARACTERS, newId, randomHex } from "../new-id.ts";
import type { Micros } from "../timestamps.ts";

export const SCOPES = ["read", "write", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** A stored key. A scope implies no other: a key may do what it lists. */
export type KeyRecord = Omit<typeof apiKeys.$inferSelect, "scopes"> & { scopes: ReadonlySet<Scope> };

/** As it is looked up: with what its tenant may. */
export interface FoundKey extends KeyRecord {
  isSuspended: boolean;
}

export interface ApiKey {
  keyId: string;
  secret: string;
}

/** What a key is made from, together with the pepper: alone it tells nobody the secret. */
export interface KeySeed {
  keyId: string;
  nonce: string;
}

/** 224 bits and the seal: nothing to guess, so one round of SHA-256 is enough where a password would need a slow hash. */
const SECRET_BYTES = 32;
const SEAL_CHARACTERS = 8;
const API_KEY = new RegExp(`^fs_([0-9a-f]{${ID_CHARACTERS}})_([0-9a-f]{${2 * SECRET_BYTES}})$`);

export function newKeySeed(): KeySeed {
  return { keyId: newId(""), nonce: randomHex(SECRET_BYTES) };
}

/** The same each time, so that a creation that comes again shows the same key. The nonce is kept for that long alone. */
export function apiKeyOf({ keyId, nonce }: KeySeed, pepper: string): ApiKey {
  // As JSON, and named, because the pepper makes other things too.
  const purpose = JSON.stringify(["api-key-secret", keyId, nonce]);
  const random = hmacSha256Of(pepper, purpose).slice(0, -SEAL_CHARACTERS);
  return { keyId, secret: random + sealOf(keyId, random, pepper) };
}

/** One that is shown once. */
export const newApiKey = (pepper: string): ApiKey => apiKeyOf(newKeySeed(), pepper);

function sealOf(keyId: string, random: string, pepper: string): string {
  return hmacSha256Of(pepper, `${keyId}_${random}`).slice(0, SEAL_CHARACTERS);
}

export function formatApiKey({ keyId, secret }: ApiKey): string {
  return `fs_${keyId}_${secret}`;
}

/** @returns null for a text that no key of ours can be, so that it costs no query. */
export function parseApiKey(text: string, pepper: string): ApiKey | null {
  const [, keyId, secret] = API_KEY.exec(text) ?? [];
  if (keyId === undefined || secret === undefined) return null;
  const seal = sealOf(keyId, secret.slice(0, -SEAL_CHARACTERS), pepper);
  return isSameDigest(seal, secret.slice(-SEAL_CHARACTERS)) ? { keyId, secret } : null;
}

/** What is stored of a secret: whoever reads or writes the table alone, without the pepper, can make no key. */
export function hashSecret(secret: string, pepper: string): string {
  return sha256Of(`${pepper}:${secret}`);
}

export type Verdict = "valid" | "wrong_secret" | "revoked" | "expired" | "suspended";

/** @param secretHash The hash of the presented secret, by {@link hashSecret}. */
export function judgeSecret(record: FoundKey, secretHash: string, now: Micros): Verdict {
  return isSameDigest(record.secretHash, secretHash) ? judgeRecord(record, now) : "wrong_secret";
}

/** Judges a key whose secret is known to be right. A key is over at its `expires_at`, not after it. */
export function judgeRecord(
  { revokedAt, expiresAt, isSuspended }: FoundKey,
  now: Micros,
): Exclude<Verdict, "wrong_secret"> {
  if (revokedAt !== null) return "revoked";
  if (expiresAt !== null && expiresAt <= now) return "expired";
  return isSuspended ? "suspended" : "valid";
}
