import { expect, test } from "vitest";
import { compareRequest, rememberedUntil } from "../../worker/db/idempotency-record.ts";

const NOW = 1_800_000_000_000_000;
const DAY = 24 * 60 * 60 * 1_000_000;

test("a request is remembered for a day", () => {
  expect(rememberedUntil(NOW)).toBe(NOW + DAY);
});

test.each([
  ["nothing is known of the key", null, "first"],
  ["the key came with it", { fingerprint: "it", expiresAt: NOW + DAY }, "same"],
  ["the key came with it, nearly a day ago", { fingerprint: "it", expiresAt: NOW + 1 }, "same"],
  ["the key came with it, a day ago", { fingerprint: "it", expiresAt: NOW }, "first"],
  ["the key came with another", { fingerprint: "another", expiresAt: NOW + 1 }, "another"],
  ["the key came with another, a day ago", { fingerprint: "another", expiresAt: NOW }, "first"],
  ["the key came with it, by a clock ahead of ours", { fingerprint: "it", expiresAt: NOW + 2 * DAY }, "same"],
] as const)("when %s", (_, record, is) => {
  expect(compareRequest(record, "it", NOW)).toBe(is);
});
