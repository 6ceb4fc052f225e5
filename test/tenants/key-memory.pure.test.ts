import { expect, test } from "vitest";
import { KEY_MEMORY_MAX_KEYS } from "../../worker/limits.ts";
import type { FoundKey } from "../../worker/tenants/api-key.ts";
import { KeyMemory } from "../../worker/tenants/key-memory.ts";
import { KEY_GRACE_MS, KEY_MEMORY_MS } from "../../worker/timings.ts";

const record: FoundKey = {
  keyId: "a",
  tenantId: "acme",
  name: "test",
  secretHash: "",
  scopes: new Set(["read"]),
  createdAt: 0,
  expiresAt: null,
  revokedAt: null,
  isSuspended: false,
};

test("a record is remembered from the moment that D1 was asked, and not a millisecond longer", () => {
  const memory = new KeyMemory();
  memory.remember("a", record, 1_000);
  expect(memory.byId("a", 1_000 + KEY_MEMORY_MS - 1)?.record).toBe(record);
  expect(memory.byId("a", 1_000 + KEY_MEMORY_MS)).toBeNull();
});

test("that there is no such key is remembered too, and told from not knowing", () => {
  const memory = new KeyMemory();
  memory.remember("a", null, 0);
  expect(memory.byId("a", 0)).toEqual({ record: null, untilMs: KEY_MEMORY_MS });
  expect(memory.byId("b", 0)).toBeNull();
});

test("a key that was proven lives no longer than the record that it was proven by", () => {
  const memory = new KeyMemory();
  memory.prove("text", { record, untilMs: 100 });
  expect(memory.proven("text", 99)).toBe(record);
  expect(memory.proven("text", 100)).toBeNull();
  expect(memory.proven("another text", 99)).toBeNull();
});

test("made-up ids push each other out, and never fill the memory", () => {
  const memory = new KeyMemory();
  for (let i = 0; i <= KEY_MEMORY_MAX_KEYS; i++) memory.remember(String(i), null, 0);
  expect(memory.byId("0", 0)).toBeNull();
  expect(memory.byId(String(KEY_MEMORY_MAX_KEYS), 0)).not.toBeNull();
});

test("made-up ids do not push out a key that was proven", () => {
  const memory = new KeyMemory();
  memory.prove("text", { record, untilMs: 100 });
  for (let i = 0; i <= KEY_MEMORY_MAX_KEYS; i++) memory.remember(String(i), null, 0);
  expect(memory.proven("text", 0)).toBe(record);
});

test("a key that was proven can be prolonged for its grace, step by step, and not if it was disproven", () => {
  const memory = new KeyMemory();
  memory.prove("text", { record, untilMs: KEY_MEMORY_MS });
  expect(memory.prolong("another text", 0)).toBeNull();
  expect(memory.prolong("text", KEY_MEMORY_MS)).toBe(record);
  expect(memory.proven("text", 2 * KEY_MEMORY_MS - 1)).toBe(record);
  expect(memory.proven("text", 2 * KEY_MEMORY_MS)).toBeNull();
  const endMs = KEY_MEMORY_MS + KEY_GRACE_MS;
  expect(memory.prolong("text", endMs - 1)).toBe(record);
  expect(memory.proven("text", endMs)).toBeNull();
  expect(memory.prolong("text", endMs)).toBeNull();
  memory.prove("text", { record, untilMs: KEY_MEMORY_MS });
  memory.disprove("text");
  expect(memory.prolong("text", 0)).toBeNull();
});

test("a clock that steps back prolongs nothing", () => {
  const memory = new KeyMemory();
  const hourMs = 60 * 60 * 1_000;
  memory.remember("a", record, hourMs);
  memory.prove("text", { record, untilMs: hourMs + KEY_MEMORY_MS });
  expect(memory.byId("a", 0)).toBeNull();
  expect(memory.proven("text", 0)).toBeNull();
  expect(memory.prolong("text", 0)).toBeNull();
});

test("nothing is left after a revocation", () => {
  const memory = new KeyMemory();
  memory.remember("a", record, 0);
  memory.prove("text", { record, untilMs: 100 });
  memory.clear();
  expect(memory.byId("a", 0)).toBeNull();
  expect(memory.proven("text", 0)).toBeNull();
});
