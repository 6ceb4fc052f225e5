import { expect, test } from "vitest";
import { documentKey } from "../../worker/keys.ts";
import { documentKeys } from "../../worker/serving/document-keys.ts";

const refs = ["user-1", "né/ä", "user-1"].map((entityValue) => ({ entityType: "bright_uid", entityValue }));

const contextOf = (tenant: string, writerPartitions: number) =>
  ({ tenant, settings: { writerPartitions } }) as Parameters<typeof documentKeys>[0];

test("a list has the keys of whoever asks, though another has asked with it before", () => {
  for (const [tenant, partitions] of [
    ["a", 4],
    ["b", 4],
    ["b", 1],
    ["a", 4],
  ] as const) {
    const wanted = refs.map((ref) => documentKey(tenant, partitions, ref));
    for (let time = 0; time < 2; time++) {
      expect(documentKeys(contextOf(tenant, partitions), refs)).toEqual(wanted);
    }
  }
});

test("a value whose key must be hashed has it each time", () => {
  const long = [...refs, { entityType: "bright_uid", entityValue: "x".repeat(512) }];
  const wanted = long.map((ref) => documentKey("a", 4, ref));
  for (let time = 0; time < 2; time++) expect(documentKeys(contextOf("a", 4), long)).toEqual(wanted);
  expect(wanted.at(-1)).toContain("#");
});
