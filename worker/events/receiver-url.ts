/**
 * To whom events may be sent: to https addresses on the public Internet, never into the network around the service.
 * In development anything goes, so that a receiver may run on the same machine.
 *
 * A name is resolved when it is checked, and once more, by the platform, when it is called: whoever owns it may answer
 * differently then. So this keeps out mistakes and the simple attacks; what keeps out the rest is that the platform
 * calls no private address.
 */
import { isLocalName } from "../http/local-names.ts";
import { MAX_RECEIVER_URL_CHARACTERS } from "../limits.ts";
import { reachOf } from "./ip-address.ts";

interface Refused {
  kind: "refused";
  /** For whoever gave the URL: it repeats nothing of it, and says nothing of what a name resolved to. */
  reason: string;
}

/** Whether the text may be a receiver, as far as it alone tells. */
export function checkReceiverUrl(
  text: string,
  { isDevelopment }: { isDevelopment: boolean },
): { kind: "ok"; url: URL } | Refused {
  if (text.length > MAX_RECEIVER_URL_CHARACTERS) {
    return refused(`is longer than ${MAX_RECEIVER_URL_CHARACTERS} characters`);
  }
  const url = URL.parse(text);
  if (url === null) return refused("is not a URL");
  const reason = faultOf(url, isDevelopment);
  return reason === null ? { kind: "ok", url } : refused(reason);
}

function faultOf(url: URL, isDevelopment: boolean): string | null {
  if (url.protocol !== "https:" && !(isDevelopment && url.protocol === "http:")) {
    return isDevelopment ? "must begin with https:// or http://" : "must begin with https://";
  }
  if (url.username !== "" || url.password !== "") return "must not contain a user name or password";
  if (url.port === "0") return "must have a port from 1 to 65535";
  return isDevelopment ? null : faultOfHost(hostOf(url));
}

function faultOfHost(host: string): string | null {
  const reach = reachOf(host);
  if (reach.kind === "local")
    return `must lead to the public Internet, not to an address that is ${reach.range}`;
  if (reach.kind === "public") return null;
  if (host.split(".").includes("")) return "must have a complete host name";
  return isLocalName(host) ? "must lead to the public Internet, not to a local name" : null;
}

/**
 * Whether every address of the URL's host is on the public Internet. `resolve` gives all of them, an empty list when
 * there are none; when it throws, or there are none, nothing is known, and a later try may tell more.
 */
export async function checkReceiverAddress(
  url: URL,
  { isDevelopment, resolve }: { isDevelopment: boolean; resolve: (hostname: string) => Promise<string[]> },
): Promise<{ kind: "ok" } | Refused | { kind: "unknown"; reason: string }> {
  const fault = faultOf(url, isDevelopment);
  if (fault !== null) return refused(fault);
  const host = hostOf(url);
  if (isDevelopment || reachOf(host).kind === "public") return { kind: "ok" };
  let addresses: string[];
  try {
    addresses = await resolve(host);
  } catch {
    return { kind: "unknown", reason: "its name could not be resolved" };
  }
  if (addresses.length === 0) return { kind: "unknown", reason: "its name has no address" };
  const isPublic = addresses.every((address) => reachOf(address).kind === "public");
  return isPublic ? { kind: "ok" } : refused("must lead to the public Internet, not to a local address");
}

/**
 * All addresses of a name, of both families; none when there are none, or when its own servers fail, which the runtime
 * does not tell apart.
 *
 * @throws Error when the resolver could not be asked for one of the families.
 */
export async function resolveName(hostname: string): Promise<string[]> {
  // Loaded when a name is first asked for: it would take a quarter of the start of every isolate.
  const { resolve4, resolve6 } = await import("node:dns/promises");
  const answers = await Promise.all([resolve4(hostname), resolve6(hostname)].map(noneIfMissing));
  // The runtime's answers hold the names that an alias goes through, too.
  return answers.flat().filter((answer) => reachOf(answer).kind !== "not an address");
}

function noneIfMissing(answer: Promise<string[]>): Promise<string[]> {
  return answer.catch((error: { code?: unknown }) => {
    if (error.code === "ENOTFOUND" || error.code === "ENODATA") return [];
    throw error;
  });
}

/** The host as a name or address: no brackets, and no dot at the end, which only says that a name is complete. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
}

function refused(reason: string): Refused {
  return { kind: "refused", reason };
}
