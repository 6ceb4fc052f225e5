import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { signatureHeaders, signingSecret } from "../../worker/events/webhook-signature.ts";

const PEPPER = "a pepper of thirty-two characters";
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text));

test("the signature is that of the published example", async () => {
  // https://docs.svix.com/receiving/verifying-payloads/how-manual, whose scheme became Standard Webhooks.
  expect(
    await signatureHeaders({
      secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
      timestampSeconds: 1_614_265_330,
      body: bytesOf('{"test": 2432232314}'),
    }),
  ).toEqual({
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
});

test("the library of Standard Webhooks takes every signature, and none of another body, id, time or secret", async () => {
  const nowSeconds = Math.floor(Date.now() / 1000);
  const secret = await signingSecret(PEPPER, "sub_1", "1");
  const receiver = new Webhook(secret);
  const stranger = new Webhook(await signingSecret(PEPPER, "sub_2", "1"));
  await fc.assert(
    fc.asyncProperty(fc.uuid(), fc.json(), async (id, json) => {
      const headers = await signatureHeaders({
        secret,
        id,
        timestampSeconds: nowSeconds,
        body: bytesOf(json),
      });
      expect(receiver.verify(json, headers)).toEqual(JSON.parse(json));
      expect(() => receiver.verify(`${json} `, headers)).toThrow();
      expect(() => receiver.verify(json, { ...headers, "webhook-id": `${id}x` })).toThrow();
      const other = { ...headers, "webhook-timestamp": String(nowSeconds - 1) };
      expect(() => receiver.verify(json, other)).toThrow();
      expect(() => stranger.verify(json, headers)).toThrow();
    }),
  );
});

test("a body of any bytes is signed as it is, not as text", async () => {
  const of = async (body: Uint8Array<ArrayBuffer>) =>
    (await signatureHeaders({ secret: "whsec_AAAA", id: "e", timestampSeconds: 1, body }))[
      "webhook-signature"
    ];
  // As text both would be U+FFFD.
  expect(await of(Uint8Array.of(0xc3))).not.toBe(await of(Uint8Array.of(0xff)));
});

test("a secret is 32 bytes behind whsec_, the same each time", async () => {
  const secret = await signingSecret(PEPPER, "sub_1", "1");
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  expect(await signingSecret(PEPPER, "sub_1", "1")).toBe(secret);
});

test("another pepper, subscription or nonce makes another secret, however they are split", async () => {
  const secrets = await Promise.all([
    signingSecret(PEPPER, "sub_1", "1"),
    signingSecret(`${PEPPER}.`, "sub_1", "1"),
    signingSecret(PEPPER, "sub_2", "1"),
    signingSecret(PEPPER, "sub_1", "2"),
    signingSecret(PEPPER, "sub_11", ""),
    signingSecret(PEPPER, "", "sub_11"),
    signingSecret(PEPPER, 'sub_1","1', ""),
  ]);
  expect(new Set(secrets).size).toBe(secrets.length);
});
