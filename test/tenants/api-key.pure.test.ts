import fc from "fast-check";
import { expect, test } from "vitest";
import {
  apiKeyOf,
  type FoundKey,
  formatApiKey,
  hashSecret,
  judgeRecord,
  judgeSecret,
  newApiKey,
  newKeySeed,
  parseApiKey,
} from "../../worker/tenants/api-key.ts";

const PEPPER = "a pepper of more than 32 characters";
const NOW = 1_000_000;

const record = (over: Partial<FoundKey> = {}): FoundKey => ({
  keyId: "0011223344556677",
  tenantId: "acme",
  name: "test",
  secretHash: hashSecret("right", PEPPER),
  scopes: new Set(["read"]),
  createdAt: 0,
  expiresAt: null,
  revokedAt: null,
  isSuspended: false,
  ...over,
});

test("a new key is read as it was written", () => {
  const key = newApiKey(PEPPER);
  expect(formatApiKey(key)).toMatch(/^fs_[0-9a-f]{16}_[0-9a-f]{64}$/);
  expect(parseApiKey(formatApiKey(key), PEPPER)).toEqual(key);
});

test("no two new keys share an id or a secret", () => {
  const keys = Array.from({ length: 1_000 }, () => newApiKey(PEPPER));
  expect(new Set(keys.map(({ keyId }) => keyId)).size).toBe(keys.length);
  expect(new Set(keys.map(({ secret }) => secret)).size).toBe(keys.length);
});

test("a key follows from its seed and the pepper: neither the id nor another nonce or pepper makes its secret", () => {
  const seed = newKeySeed();
  const key = apiKeyOf(seed, PEPPER);
  expect(apiKeyOf({ ...seed }, PEPPER)).toEqual(key);
  expect(parseApiKey(formatApiKey(key), PEPPER)).toEqual(key);
  const others = [
    apiKeyOf({ ...seed, nonce: newKeySeed().nonce }, PEPPER),
    apiKeyOf({ ...seed, keyId: newKeySeed().keyId }, PEPPER),
    apiKeyOf(seed, `${PEPPER}!`),
  ];
  for (const { secret } of others) expect(secret.slice(0, 56)).not.toBe(key.secret.slice(0, 56));
});

test("a key that is changed anywhere, or made with another pepper, is no key", () => {
  const key = newApiKey(PEPPER);
  const text = formatApiKey(key);
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ maxLength: 2 }), (at, put) => {
      const changed = text.slice(0, at) + put + text.slice(at + 1);
      if (changed !== text) expect(parseApiKey(changed, PEPPER)).toBeNull();
    }),
  );
  expect(parseApiKey(text, `${PEPPER}!`)).toBeNull();
});

test.each([
  "",
  "fs_",
  "tenant1_key",
  `fs_${"0".repeat(16)}`,
  `fs_${"0".repeat(16)}_`,
  `fs_${"0".repeat(16)}_${"0".repeat(63)}`,
  `fs_${"0".repeat(16)}_${"0".repeat(65)}`,
  `fs_${"A".repeat(16)}_${"0".repeat(64)}`,
  ` fs_${"0".repeat(16)}_${"0".repeat(64)}`,
  `fs_${"0".repeat(16)}_${"0".repeat(64)}\n`,
])("%j is no key", (text) => {
  expect(parseApiKey(text, PEPPER)).toBeNull();
});

// Computed by sha256sum: a change of the formula ends every key that was ever given out.
test("what is stored is SHA-256 of pepper, colon and secret", () => {
  expect(hashSecret("secret", "pepper")).toBe(
    "5ed133c9447f144157b338fdcd0bf71240948ca354cb98010bd60a142b0cbaf8",
  );
});

test("the hash depends on the pepper and on the secret", () => {
  expect(hashSecret("right", "another pepper")).not.toBe(hashSecret("right", PEPPER));
  expect(hashSecret("wrong", PEPPER)).not.toBe(hashSecret("right", PEPPER));
});

test.each([
  ["in order", {}, "valid"],
  ["not over yet", { expiresAt: NOW + 1 }, "valid"],
  ["over now", { expiresAt: NOW }, "expired"],
  ["long over", { expiresAt: 1 }, "expired"],
  ["revoked", { revokedAt: NOW }, "revoked"],
  ["revoked, by a clock ahead of ours", { revokedAt: NOW + 1 }, "revoked"],
  ["revoked and over", { revokedAt: 1, expiresAt: 1 }, "revoked"],
  ["of a suspended tenant", { isSuspended: true }, "suspended"],
  ["over, of a suspended tenant", { isSuspended: true, expiresAt: 1 }, "expired"],
  ["revoked, of a suspended tenant", { isSuspended: true, revokedAt: 1 }, "revoked"],
] as const)("a key that is %s", (_, over, verdict) => {
  expect(judgeRecord(record(over), NOW)).toBe(verdict);
  expect(judgeSecret(record(over), hashSecret("right", PEPPER), NOW)).toBe(verdict);
  expect(judgeSecret(record(over), hashSecret("wrong", PEPPER), NOW)).toBe("wrong_secret");
});

test.each(["", "0", "not a hash", "é".repeat(64)])("the stored hash %j lets nobody in", (secretHash) => {
  expect(judgeSecret(record({ secretHash }), hashSecret("right", PEPPER), NOW)).toBe("wrong_secret");
});
