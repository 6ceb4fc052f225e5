import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openAuthorization, sealAuthorization } from "../../worker/events/receiver-authorization.ts";

const PEPPER = "a pepper of thirty-two characters";
const OF = { tenantId: "acme", subscriptionId: "sub_1", url: "https://receiver.example/features?a=1" };

/** Any that a subscription takes. */
const authorizations = fc.stringMatching(/^[!-~]([ -~]{0,99}[!-~])?$/);

describe("what is sealed", () => {
  test("is opened with the same pepper for the same subscription, and shows nothing of it before", async () => {
    await fc.assert(
      fc.asyncProperty(authorizations, async (authorization) => {
        const sealed = await sealAuthorization(authorization, PEPPER, OF);
        expect(await openAuthorization(sealed, PEPPER, OF)).toBe(authorization);
        const bytes = Buffer.from(sealed, "base64");
        if (authorization.length > 3) expect(bytes.includes(authorization)).toBe(false);
      }),
    );
  });

  // Made with node:crypto: HKDF without salt, AES-256-GCM. What is stored must open for ever.
  test("is as it has always been", async () => {
    expect(await openAuthorization("AAECAwQFBgcICQoL2jAyYqGWixT78ZrZ8mUmJYf97HdljEhjeVg=", PEPPER, OF)).toBe(
      "Bearer abc",
    );
  });

  test("is another text each time", async () => {
    const sealed = await Promise.all([1, 2].map(() => sealAuthorization("Bearer abc", PEPPER, OF)));
    expect(new Set(sealed).size).toBe(2);
  });

  test.each([
    ["another path of the origin", "https://receiver.example/other", "Bearer abc"],
    ["the port that is meant without one", "https://receiver.example:443/", "Bearer abc"],
    ["another host", "https://another.example/features?a=1", null],
    ["a host below it", "https://a.receiver.example/", null],
    ["another port", "https://receiver.example:8443/features?a=1", null],
    ["another scheme", "http://receiver.example/features?a=1", null],
  ])("for %s: %s opens to %j", async (_, url, opened) => {
    const sealed = await sealAuthorization("Bearer abc", PEPPER, OF);
    expect(await openAuthorization(sealed, PEPPER, { ...OF, url })).toBe(opened);
  });

  test.each([
    ["another tenant", { ...OF, tenantId: "other" }, PEPPER],
    ["another subscription", { ...OF, subscriptionId: "sub_2" }, PEPPER],
    ["names that read alike together", { ...OF, tenantId: "acmesub_", subscriptionId: "1" }, PEPPER],
    ["another pepper", OF, `${PEPPER}.`],
  ])("is not opened with %s", async (_, belonging, pepper) => {
    const sealed = await sealAuthorization("Bearer abc", PEPPER, OF);
    expect(await openAuthorization(sealed, pepper, belonging)).toBeNull();
  });

  test("is not opened once a bit of it is another, or a part is missing", async () => {
    const bytes = Buffer.from(await sealAuthorization("Bearer abc", PEPPER, OF), "base64");
    const damaged = [...bytes.keys()].flatMap((i) => {
      const changed = Buffer.from(bytes);
      changed[i] = (changed[i] ?? 0) ^ 1;
      return [changed, bytes.subarray(0, i)];
    });
    const opened = damaged.map((one) => openAuthorization(one.toString("base64"), PEPPER, OF));
    expect(new Set(await Promise.all(opened))).toEqual(new Set([null]));
    expect(await openAuthorization("not base64!", PEPPER, OF)).toBeNull();
  });
});
