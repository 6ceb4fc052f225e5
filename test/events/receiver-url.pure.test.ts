import { describe, expect, test } from "vitest";
import { checkReceiverAddress, checkReceiverUrl } from "../../worker/events/receiver-url.ts";
import { MAX_RECEIVER_URL_CHARACTERS } from "../../worker/limits.ts";
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
const DEVELOPMENT = { isDevelopment: true };
const verdict = (url: string) => checkReceiverUrl(url, PRODUCTION).kind;

describe("outside development", () => {
  test.each([...LOCAL_IPV4, ...LOCAL_NOTATIONS, ...LOCAL_NAMES, ...LOCAL_IPV6.map((ip) => `[${ip}]`)])(
    "%s is refused",
    (host) => {
      expect(verdict(`https://${host}/hook`)).toBe("refused");
      expect(verdict(`https://${host}:8443`)).toBe("refused");
    },
  );

  test.each([...PUBLIC_IPV4, ...PUBLIC_NAMES, ...PUBLIC_IPV6.map((ip) => `[${ip}]`)])(
    "%s is taken",
    (host) => {
      const url = `https://${host}:8443/hook?x=1`;
      expect(checkReceiverUrl(url, PRODUCTION)).toEqual({ kind: "ok", url: new URL(url) });
    },
  );

  test.each([
    ["http://example.com/", "https://"],
    ["ftp://example.com/", "https://"],
    ["file:///etc/passwd", "https://"],
    ["javascript:alert(1)", "https://"],
    ["data:text/plain,x", "https://"],
    ["wss://example.com/", "https://"],
    ["https://user@example.com/", "user name"],
    ["https://user:password@example.com/", "user name"],
    ["https://:password@example.com/", "user name"],
    ["https://example.com@127.0.0.1/", "user name"],
    ["https://example.com:0/", "port"],
    ["https://example.com:65536/", "not a URL"],
    ["https://", "not a URL"],
    ["https:///", "not a URL"],
    ["https://./", "host name"],
    ["https://../", "host name"],
    ["https://example..com/", "host name"],
    ["https://.example.com/", "host name"],
    ["https://example.com../", "host name"],
    ["https://127.0.0.1../", "host name"],
    ["https://1.2.3.4.5/", "not a URL"],
    ["https://256.1.1.1/", "not a URL"],
    ["https://[::1", "not a URL"],
    ["https://[fe80::1%25eth0]/", "not a URL"],
    ["https://exa mple.com/", "not a URL"],
    ["example.com", "not a URL"],
    ["//example.com", "not a URL"],
    ["", "not a URL"],
  ])("%j is refused for its %s", (url, part) => {
    expect(checkReceiverUrl(url, PRODUCTION)).toEqual({
      kind: "refused",
      reason: expect.stringContaining(part),
    });
  });

  test("a port from 1 to 65535 is taken", () => {
    expect(verdict("https://example.com:1/")).toBe("ok");
    expect(verdict("https://example.com:65535/")).toBe("ok");
  });

  test("a URL has a longest length", () => {
    const url = "https://example.com/".padEnd(MAX_RECEIVER_URL_CHARACTERS, "x");
    expect(verdict(url)).toBe("ok");
    expect(verdict(`${url}x`)).toBe("refused");
  });

  test("what is looked at is the URL as it will be called, not its text", () => {
    for (const text of [
      "https:\\\\127.0.0.1",
      "https:127.0.0.1",
      " https://127.0.0.1",
      "https://12\n7.0.0.1",
    ]) {
      expect(verdict(text)).toBe("refused");
    }
  });

  test("no reason repeats the URL", () => {
    const result = checkReceiverUrl("https://user:hunter2@10.0.0.1/token", PRODUCTION);
    expect(JSON.stringify(result)).not.toMatch(/hunter2|10\.0|token/);
  });
});

describe("in development", () => {
  test.each([
    "http://localhost:9000/",
    "http://127.0.0.1:9000/",
    "https://192.168.0.7/",
    "http://[::1]:80/",
    "http://nas/",
  ])("%s is taken", async (text) => {
    const checked = checkReceiverUrl(text, DEVELOPMENT);
    expect(checked).toEqual({ kind: "ok", url: new URL(text) });
    const resolve = () => Promise.reject(new Error("offline"));
    expect(await checkReceiverAddress(new URL(text), { ...DEVELOPMENT, resolve })).toEqual({ kind: "ok" });
  });

  test.each(["ftp://localhost/", "http://user@localhost/", "http://localhost:0/", "nothing"])(
    "%s is refused",
    (text) => {
      expect(checkReceiverUrl(text, DEVELOPMENT).kind).toBe("refused");
    },
  );
});

describe("a name counts as the addresses that it has", () => {
  const url = new URL("https://hooks.example.com./hook");
  const check = (resolve: (hostname: string) => Promise<string[]>) =>
    checkReceiverAddress(url, { ...PRODUCTION, resolve });

  test("with only public ones it is taken, and asked for without the dot at its end", async () => {
    const asked: string[] = [];
    const resolve = async (hostname: string) => {
      asked.push(hostname);
      return [...PUBLIC_IPV4, ...PUBLIC_IPV6];
    };
    expect(await check(resolve)).toEqual({ kind: "ok" });
    expect(asked).toEqual(["hooks.example.com"]);
  });

  test.each([...LOCAL_IPV4, ...LOCAL_IPV6, "nonsense", "fe80::1%eth0"])(
    "with %s among them it is refused",
    async (one) => {
      expect((await check(async () => ["8.8.8.8", one, "2606:4700:4700::1111"])).kind).toBe("refused");
    },
  );

  test("the reason does not tell the addresses: they are the network's secret", async () => {
    expect(JSON.stringify(await check(async () => ["10.11.12.13"]))).not.toContain("10.11");
  });

  test("without any nothing is known", async () => {
    expect((await check(async () => [])).kind).toBe("unknown");
  });

  test("when it cannot be asked for nothing is known", async () => {
    expect((await check(() => Promise.reject(new Error("SERVFAIL")))).kind).toBe("unknown");
  });

  test("an address is not asked for", async () => {
    const resolve = () => Promise.reject(new Error("asked"));
    expect(await checkReceiverAddress(new URL("https://8.8.8.8/"), { ...PRODUCTION, resolve })).toEqual({
      kind: "ok",
    });
    for (const host of ["10.0.0.1", "[::1]", "localhost", "nas.local"]) {
      const local = new URL(`https://${host}/`);
      expect((await checkReceiverAddress(local, { ...PRODUCTION, resolve })).kind).toBe("refused");
    }
  });

  test("the scheme is checked again: what was stored in development is not called in production", async () => {
    const checked = await checkReceiverAddress(new URL("http://example.com/"), {
      ...PRODUCTION,
      resolve: async () => ["8.8.8.8"],
    });
    expect(checked.kind).toBe("refused");
  });
});
