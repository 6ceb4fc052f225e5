/**
 * Which addresses are on the public Internet. After the registries of special addresses of IANA
 * (https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry) and the address blocks
 * of multicast and of the clouds' own services. What is not known to be public is not.
 */
import { lazily } from "../lazily.ts";

type Reach = { kind: "public" } | { kind: "local"; range: string } | { kind: "not an address" };

const IPV4_RANGES = table([
  ["0.0.0.0/8", "this network"],
  ["10.0.0.0/8", "private"],
  ["100.64.0.0/10", "carrier-grade NAT"],
  ["127.0.0.0/8", "loopback"],
  ["168.63.129.16/32", "cloud metadata"],
  ["169.254.0.0/16", "link-local"],
  ["172.16.0.0/12", "private"],
  ["192.0.0.0/24", "reserved"],
  ["192.0.2.0/24", "documentation"],
  ["192.88.99.0/24", "reserved"],
  ["192.168.0.0/16", "private"],
  ["198.18.0.0/15", "benchmarking"],
  ["198.51.100.0/24", "documentation"],
  ["203.0.113.0/24", "documentation"],
  ["224.0.0.0/4", "multicast"],
  ["255.255.255.255/32", "broadcast"],
  ["240.0.0.0/4", "reserved"],
]);

const IPV6_RANGES = table([
  ["::/128", "unspecified"],
  ["::1/128", "loopback"],
  ["::/96", "IPv4-compatible"],
  ["64:ff9b:1::/48", "local translation"],
  ["100::/64", "discard"],
  ["2001::/23", "protocol assignments"],
  ["2001:db8::/32", "documentation"],
  ["3fff::/20", "documentation"],
  ["fc00::/7", "unique local"],
  ["fe80::/10", "link-local"],
  ["fec0::/10", "site-local"],
  ["ff00::/8", "multicast"],
]);
/** All of IPv6 that is given out for the Internet; the ranges above only name what they hold. */
const IPV6_UNICAST = table([["2000::/3", "global unicast"]]);

/** IPv6 that leads to the IPv4 addresses within it: at which bytes, and whether they are inverted there. */
const EMBEDDING = table([
  ["::ffff:0:0/96", [{ at: 12, invert: 0 }]],
  ["64:ff9b::/96", [{ at: 12, invert: 0 }]],
  ["2002::/16", [{ at: 2, invert: 0 }]],
  // Teredo: the server, and the client behind its NAT.
  [
    "2001::/32",
    [
      { at: 4, invert: 0 },
      { at: 12, invert: 255 },
    ],
  ],
]);

/** Where an address leads, written as the URL standard writes it (without brackets) or as DNS answers. */
export function reachOf(text: string): Reach {
  const bytes = parseAddress(text);
  if (bytes === null) return { kind: "not an address" };
  const range = bytes.length === 4 ? lookUp(IPV4_RANGES, bytes) : localIpv6(bytes);
  return range === null ? { kind: "public" } : { kind: "local", range };
}

function localIpv6(bytes: number[]): string | null {
  const embedded = lookUp(EMBEDDING, bytes);
  if (embedded === null) {
    return lookUp(IPV6_RANGES, bytes) ?? (lookUp(IPV6_UNICAST, bytes) === null ? "reserved" : null);
  }
  for (const { at, invert } of embedded) {
    const range = lookUp(
      IPV4_RANGES,
      bytes.slice(at, at + 4).map((byte) => byte ^ invert),
    );
    if (range !== null) return `${range}, within IPv6`;
  }
  return null;
}

/** Four bytes, sixteen, or null when it is no address. */
function parseAddress(text: string): number[] | null {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): number[] | null {
  if (!/^(\d{1,3}\.){3}\d{1,3}$/.test(text)) return null;
  const bytes = text.split(".").map(Number);
  return bytes.every((byte) => byte <= 255) ? bytes : null;
}

function parseIpv6(text: string): number[] | null {
  const sides = text.split("::").map((side, index, all) => ipv6Bytes(side, index === all.length - 1));
  const [head, tail] = sides;
  if (!head || sides.length > 2 || sides.includes(null)) return null;
  if (!tail) return head.length === 16 ? head : null;
  const zeros = 16 - head.length - tail.length;
  return zeros >= 2 ? [...head, ...Array<number>(zeros).fill(0), ...tail] : null;
}

/** One side of `::`. At the end of the whole address may stand one of IPv4. */
function ipv6Bytes(side: string, isEnd: boolean): number[] | null {
  const bytes: number[] = [];
  const parts = side === "" ? [] : side.split(":");
  for (const [index, part] of parts.entries()) {
    const ipv4 = isEnd && index === parts.length - 1 ? parseIpv4(part) : null;
    if (ipv4) bytes.push(...ipv4);
    else if (/^[0-9a-f]{1,4}$/i.test(part))
      bytes.push(Number.parseInt(part, 16) >> 8, Number.parseInt(part, 16) & 255);
    else return null;
  }
  return bytes;
}

interface Range<T> {
  prefix: number[];
  bits: number;
  value: T;
}

/** A table that is read when it is first looked into. */
type Table<T> = () => Range<T>[];

function table<T>(rows: [cidr: string, value: T][]): Table<T> {
  return lazily(() =>
    rows.map(([cidr, value]) => {
      const [address = "", bits] = cidr.split("/");
      return { prefix: parseAddress(address) ?? [], bits: Number(bits), value };
    }),
  );
}

function lookUp<T>(ranges: Table<T>, bytes: number[]): T | null {
  return ranges().find((range) => isWithin(range, bytes))?.value ?? null;
}

function isWithin({ prefix, bits }: Range<unknown>, bytes: number[]): boolean {
  return bytes.every((byte, index) => {
    const mask = (0xff00 >> Math.min(8, Math.max(0, bits - index * 8))) & 0xff;
    return ((byte ^ (prefix[index] ?? 0)) & mask) === 0;
  });
}
