import fc from "fast-check";
import { expect, test } from "vitest";
import { reachOf } from "../../worker/events/ip-address.ts";
import { checkReceiverUrl } from "../../worker/events/receiver-url.ts";

const verdict = (url: string) => checkReceiverUrl(url, { isDevelopment: false }).kind;

/** An IPv4 address in any notation that the URL standard knows: one to four parts, each decimal, octal or hex. */
const notation = (address: fc.Arbitrary<number>) =>
  fc
    .tuple(
      address,
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.constantFrom(10, 8, 16), { minLength: 4, maxLength: 4 }),
    )
    .map(([value, count, bases]) => {
      const bytes = [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);
      const last = bytes.slice(count - 1).reduce((sum, byte) => sum * 256 + byte, 0);
      const prefixes: Record<number, string> = { 10: "", 8: "0", 16: "0x" };
      return [...bytes.slice(0, count - 1), last]
        .map((part, index) => (prefixes[bases[index] ?? 10] ?? "") + part.toString(bases[index]))
        .join(".");
    });

const within = (first: number, count: number) => fc.integer({ min: first, max: first + count - 1 });
const localIpv4 = fc.oneof(
  within(0x00000000, 2 ** 24),
  within(0x0a000000, 2 ** 24),
  within(0x64400000, 2 ** 22),
  within(0x7f000000, 2 ** 24),
  within(0xa9fe0000, 2 ** 16),
  within(0xac100000, 2 ** 20),
  within(0xc0a80000, 2 ** 16),
  within(0xc6120000, 2 ** 17),
  within(0xe0000000, 2 ** 29),
);
/** Every /8 without a special address in it. */
const publicIpv4 = fc
  .tuple(
    fc
      .integer({ min: 1, max: 223 })
      .filter((byte) => ![10, 100, 127, 168, 169, 172, 192, 198, 203].includes(byte)),
    fc.integer({ min: 0, max: 2 ** 24 - 1 }),
  )
  .map(([first, rest]) => first * 2 ** 24 + rest);

const groups = (value: number) => `${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;
const EMBEDDINGS: [string, (ipv4: number) => string][] = [
  ["IPv4-mapped", (ipv4) => `::ffff:${groups(ipv4)}`],
  ["NAT64", (ipv4) => `64:ff9b::${groups(ipv4)}`],
  ["6to4", (ipv4) => `2002:${groups(ipv4)}::1`],
  ["Teredo by its server", (ipv4) => `2001:0:${groups(ipv4)}:0:0:f7f7:f7f7`],
  ["Teredo by its client", (ipv4) => `2001:0:808:808:0:0:${groups(~ipv4 >>> 0)}`],
];

test("a local address is refused in every notation", () => {
  fc.assert(
    fc.property(notation(localIpv4), fc.constantFrom("", "."), (host, dot) => {
      expect(verdict(`https://${host}${dot}/`)).toBe("refused");
    }),
    { numRuns: 1_000 },
  );
});

test("a public address is taken in every notation", () => {
  fc.assert(
    fc.property(notation(publicIpv4), fc.constantFrom("", "."), (host, dot) => {
      expect(verdict(`https://${host}${dot}/`)).toBe("ok");
    }),
    { numRuns: 1_000 },
  );
});

test.each(EMBEDDINGS)("an IPv4 address within IPv6 counts as what it leads to: %s", (_, embed) => {
  fc.assert(
    fc.property(localIpv4, publicIpv4, (local, other) => {
      expect(reachOf(embed(local)).kind).toBe("local");
      expect(verdict(`https://[${embed(local)}]/`)).toBe("refused");
      expect(reachOf(embed(other)).kind).toBe("public");
      expect(verdict(`https://[${embed(other)}]/`)).toBe("ok");
    }),
  );
});

test("an IPv6 address means the same however it is written", () => {
  fc.assert(
    fc.property(fc.ipV6(), (written) => {
      expect(reachOf(written)).toEqual(reachOf(new URL(`https://[${written}]`).hostname.slice(1, -1)));
      expect(reachOf(written).kind).not.toBe("not an address");
    }),
    { numRuns: 1_000 },
  );
});

test.each([
  "",
  ":",
  ":::",
  "1::2::3",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "::1%eth0",
  "[::1]",
  "g::",
  "12345::",
  "1.2.3",
  "1.2.3.4.5",
  "256.1.1.1",
  "1.2.3.4:80",
  "::1.2.3",
  "1.2.3.4::",
  "a.example.com",
])("%j is no address", (text) => {
  expect(reachOf(text)).toEqual({ kind: "not an address" });
});
