import fc from "fast-check";
import { expect, test } from "vitest";
import { administers, TENANT_ID, tenantIdFrom } from "../../worker/tenants/tenant-id.ts";

test.each([
  ["Acme", "acme"],
  ["tenant1", "tenant1"],
  ["Acmé Bank, Inc.", "acme-bank-inc"],
  ["  spaced  out  ", "spaced-out"],
  ["snake_case", "snake_case"],
  ["../../etc/passwd", "etc-passwd"],
  ["__proto__", "proto"],
  ["Große", "gro-e"],
  ["x".repeat(200), "x".repeat(64)],
  [`${"x".repeat(63)} y`, "x".repeat(63)],
  ["日本", null],
  ["--", null],
])("the name %j becomes the id %j", (name, id) => {
  expect(tenantIdFrom(name)).toBe(id);
});

test("whatever the name, the id is one", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (name) => {
      const id = tenantIdFrom(name);
      if (id !== null) expect(id).toMatch(TENANT_ID);
    }),
  );
});

test.each(["", "-a", "_a", "A", "a b", "a/b", "a:b", "a\n", "x".repeat(65)])("%j is no id", (id) => {
  expect(id).not.toMatch(TENANT_ID);
});

test("the default tenant administers all, any other its own alone", () => {
  expect(administers("default", "acme")).toBe(true);
  expect(administers("acme", "acme")).toBe(true);
  expect(administers("acme", "default")).toBe(false);
  expect(administers("acme", "acme2")).toBe(false);
});
