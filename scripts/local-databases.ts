/** The local D1 databases. */
import { bindingOf } from "../worker/db/entity-databases.ts";

/**
 * By their bindings, as Miniflare takes them.
 *
 * @param inConfig Those of wrangler.toml.
 * @param least So many there are at least: as if it named them.
 */
export function localDatabases(inConfig: unknown, least: number): Record<string, string> {
  const more = Array.from({ length: least }, (_, number) => [bindingOf(number), { id: bindingOf(number) }]);
  return { ...Object.fromEntries(more), ...(inConfig as Record<string, string>) };
}
