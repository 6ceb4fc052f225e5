/**
 * KV namespaces of an account, by their names. Wrangler would make one for a binding without an id, but not a second
 * time: a first deployment that fails after that could never be repeated. Pure.
 */

/** As wrangler itself names it: those that it has made are found. */
export function namespaceTitle(worker: string, binding: string): string {
  return `${worker}-${binding.toLowerCase().replaceAll("_", "-")}`;
}

/** @param output Of `wrangler kv namespace list`, whatever else it says before the JSON. */
export function namespaceId(output: string, title: string): string | null {
  const start = output.search(/^\[/m);
  if (start === -1) throw new Error(`wrangler lists no namespaces, but says: ${output}`);
  const json = output.slice(start, output.lastIndexOf("]") + 1);
  const all = JSON.parse(json) as { id: string; title: string }[];
  return all.find((namespace) => namespace.title === title)?.id ?? null;
}

/** The configuration with the ids of an environment's namespaces, by their bindings. */
export function withNamespaceIds(toml: string, env: string, ids: ReadonlyMap<string, string>): string {
  const missing = new Set(ids.keys());
  const table = `[[env.${env}.kv_namespaces]]`;
  const written = toml.replaceAll(/^\[\[.*\]\]\nbinding = "(\w+)"$/gm, (found, binding: string) => {
    const id = found.startsWith(`${table}\n`) ? ids.get(binding) : undefined;
    if (id === undefined) return found;
    missing.delete(binding);
    return `${found}\nid = "${id}"`;
  });
  if (missing.size === 0) return written;
  throw new Error(`wrangler.toml has no ${table} that begins with the binding ${[...missing].join(", ")}`);
}
