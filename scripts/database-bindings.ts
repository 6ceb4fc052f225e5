/**
 * The bindings of an environment's D1 databases: `DB`, and where there are several `DB_1` and so on. Pure.
 *
 * @throws Error where there is none, or a database without one: whoever is left out would be deployed without tables.
 */
export function databaseBindings(toml: string, env: string | undefined): string[] {
  const name = env ? `env.${env}.d1_databases` : "d1_databases";
  const databases = toml.split(/^(?=[ \t]*\[)/m).filter((table) => HEADER.exec(table)?.[1] === name);
  if (databases.length === 0) throw new Error(`wrangler.toml has no [[${name}]]`);
  return databases.map((table) => {
    const binding = BINDING.exec(table)?.[1];
    if (binding === undefined) throw new Error(`wrangler.toml has a [[${name}]] without a binding`);
    return binding;
  });
}

const HEADER = /^[ \t]*\[\[[ \t]*([\w.-]+)[ \t]*\]\]/;
const BINDING = /^[ \t]*binding[ \t]*=[ \t]*["'](\w+)["']/m;
