import { exports } from "cloudflare:workers";
import { expect, test } from "vitest";

const url = (path: string) => `http://store.test/api/v1${path}`;

test("what is written is read", async () => {
  const write = {
    metadata: { source: "prediction_service" },
    data: {
      entity_type: "bright_uid",
      entity_value: "user-123",
      feature_list: [{ category: "user_features", features: { age: 30, income: 60000, city: "SF" } }],
    },
  };
  const written = await exports.default.fetch(url("/items"), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(write),
  });
  expect(written.status).toBe(200);
  const read = await exports.default.fetch(url("/get/item/user-123/user_features"));
  expect(await read.json()).toMatchObject({
    bright_uid: "user-123",
    category: "user_features",
    features: { data: { age: 30, income: 60000, city: "SF" } },
    revision: 1,
  });
});
