/** Names that nobody can own on the public Internet. Pure. */

/** Domains that a network gives meaning to by itself, and names under which clouds tell secrets. */
const LOCAL_DOMAINS = [
  "localhost",
  "local",
  "localdomain",
  "internal",
  "home.arpa",
  "lan",
  "home",
  "corp",
  "intranet",
  "private",
  "alt",
  "metadata.goog",
];

/** Kept for tests and documents: they lead nowhere. */
const RESERVED_DOMAINS = ["test", "example", "example.com", "example.net", "example.org", "invalid"];

/** Whether a name means something in the network around us alone. */
export function isLocalName(host: string): boolean {
  return !host.includes(".") || isIn(host, LOCAL_DOMAINS);
}

/**
 * Whether a service may take itself for one on a developer's machine, asked under this host: an address, or a name that
 * nobody on the Internet can own. Else it was deployed as it is, or a page of somebody else's leads a browser here under
 * a name of its own.
 */
export function isDevelopersHost(hostname: string): boolean {
  // A dot at the end only says that the name is complete.
  const host = hostname.replace(/\.$/, "");
  return /^[\d.]+$|^\[/.test(host) || isLocalName(host) || isIn(host, RESERVED_DOMAINS);
}

function isIn(host: string, domains: readonly string[]): boolean {
  return domains.some((domain) => host === domain || host.endsWith(`.${domain}`));
}
