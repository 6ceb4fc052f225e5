/** The runtime reads URLs, resolves names and makes bytes with code of its own: the same once more, inside it. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { encodeEvent } from "../../worker/events/encode-event.ts";
import { checkReceiverAddress, checkReceiverUrl, resolveName } from "../../worker/events/receiver-url.ts";
import { signatureHeaders } from "../../worker/events/webhook-signature.ts";
import { EVENT, RECORD } from "./avro-sample.ts";
import {
  LOCAL_IPV4,
  LOCAL_IPV6,
  LOCAL_NAMES,
  LOCAL_NOTATIONS,
  PUBLIC_IPV4,
  PUBLIC_IPV6,
  PUBLIC_NAMES,
} from "./receiver-samples.ts";

const PRODUCTION = { isDevelopment: false };
const verdict = (host: string) => checkReceiverUrl(`https://${host}/`, PRODUCTION).kind;
const bracketed = (addresses: string[]) => addresses.map((address) => `[${address}]`);

afterEach(() => vi.restoreAllMocks());

test("a receiver in the network around the service is refused", () => {
  const hosts = [...LOCAL_IPV4, ...LOCAL_NOTATIONS, ...LOCAL_NAMES, ...bracketed(LOCAL_IPV6)];
  expect(hosts.filter((host) => verdict(host) !== "refused")).toEqual([]);
});

test("a receiver on the public Internet is taken", () => {
  const hosts = [...PUBLIC_IPV4, ...PUBLIC_NAMES, ...bracketed(PUBLIC_IPV6)];
  expect(hosts.filter((host) => verdict(host) !== "ok")).toEqual([]);
});

describe("a name is resolved through DNS over HTTPS", () => {
  const CNAME = { name: "hooks.example.com", type: 5, TTL: 60, data: "lb.example.net." };
  const A = 1;
  const AAAA = 28;

  /** What the resolver answers for each type of record; a type without an entry cannot be asked for. */
  function answering(answers: Record<number, string[]>) {
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input) => {
      const type = new URL(String(input)).searchParams.get("type") === "A" ? A : AAAA;
      const data = answers[type];
      if (data === undefined) return new Response("", { status: 502 });
      const records = data.map((address) => ({ name: "lb.example.net", type, TTL: 60, data: address }));
      return Response.json({
        Status: 0,
        Question: [{ name: "hooks.example.com", type }],
        Answer: [CNAME, ...records],
      });
    });
  }
  const check = () =>
    checkReceiverAddress(new URL("https://hooks.example.com/"), { ...PRODUCTION, resolve: resolveName });

  test("to all its addresses of both families, without the aliases on the way", async () => {
    answering({ [A]: ["8.8.8.8", "9.9.9.9"], [AAAA]: ["2606:4700:4700::1111"] });
    expect(await resolveName("hooks.example.com")).toEqual(["8.8.8.8", "9.9.9.9", "2606:4700:4700::1111"]);
    expect(await check()).toEqual({ kind: "ok" });
  });

  test("one family is enough", async () => {
    answering({ [A]: ["8.8.8.8"], [AAAA]: [] });
    expect(await check()).toEqual({ kind: "ok" });
  });

  test("a local address of either family refuses it", async () => {
    answering({ [A]: ["8.8.8.8"], [AAAA]: ["fd00::1"] });
    expect((await check()).kind).toBe("refused");
    answering({ [A]: ["8.8.8.8", "10.0.0.1"], [AAAA]: [] });
    expect((await check()).kind).toBe("refused");
  });

  test("while one family cannot be asked for, nothing is known", async () => {
    answering({ [A]: ["8.8.8.8"] });
    expect((await check()).kind).toBe("unknown");
  });

  test("a name that does not exist is not known", async () => {
    vi.spyOn(globalThis, "fetch").mockImplementation(async () =>
      Response.json({ Status: 3, Question: [{ name: "hooks.example.com", type: A }] }),
    );
    expect(await resolveName("hooks.example.com")).toEqual([]);
    expect((await check()).kind).toBe("unknown");
  });
});

test("an event is encoded in Avro", () => {
  const { body } = encodeEvent(EVENT, "avro");
  expect(Buffer.from(body.subarray(10)).toString("hex")).toBe(RECORD);
  // Answered as it is, it is nothing but itself.
  expect(body.buffer.byteLength).toBe(body.length);
});

test("a request is signed as in the published example", async () => {
  const headers = await signatureHeaders({
    secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    timestampSeconds: 1_614_265_330,
    body: new Uint8Array(Buffer.from('{"test": 2432232314}')),
  });
  expect(headers["webhook-signature"]).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
});
