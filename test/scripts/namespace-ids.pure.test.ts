import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { namespaceId, namespaceTitle, withNamespaceIds } from "../../scripts/namespace-ids.ts";

const toml = readFileSync(join(import.meta.dirname, "../../wrangler.toml"), "utf8");

test("a namespace is named as wrangler names it", () => {
  expect(namespaceTitle("store-production", "HOT_CACHE")).toBe("store-production-hot-cache");
});

test("a namespace is found by its whole name, whatever wrangler says before the list", () => {
  const list = JSON.stringify(
    [
      { id: "a", title: "store-hot-2" },
      { id: "b", title: "store-hot" },
    ],
    null,
    2,
  );
  for (const output of [list, `▲ [WARNING] something [else]\n${list}\n`]) {
    expect(namespaceId(output, "store-hot")).toBe("b");
    expect(namespaceId(output, "store")).toBeNull();
  }
  expect(namespaceId("[]", "store-hot")).toBeNull();
  expect(() => namespaceId("✘ [ERROR] no", "store-hot")).toThrow("no");
});

test.each(["staging", "production"])("the configuration gets the ids of %s alone", (env) => {
  const written = withNamespaceIds(toml, env, new Map([["HOT", "0123"]]));
  expect(written.replace('id = "0123"\n', "")).toBe(toml);
  expect(written).toContain(`[[env.${env}.kv_namespaces]]\nbinding = "HOT"\nid = "0123"\n`);
});

test("a binding that is not there is told", () => {
  expect(() => withNamespaceIds(toml, "production", new Map([["COLD", "0123"]]))).toThrow("COLD");
  expect(() => withNamespaceIds(toml, "nowhere", new Map([["HOT", "0123"]]))).toThrow("nowhere");
});
