/** The bindings of an environment's D1 databases: `DB`, and where there are several `DB_1` and so on. Pure. */
export function databaseBindings(toml: string, env: string | undefined): string[] {
  const table = env ? `[[env.${env}.d1_databases]]` : "[[d1_databases]]";
  const bindings = [...toml.matchAll(/^(\[\[.*\]\])\nbinding = "(\w+)"$/gm)].flatMap(([, found, binding]) =>
    found === table && binding !== undefined ? binding : [],
  );
  if (bindings.length > 0) return bindings;
  throw new Error(`wrangler.toml has no ${table} that begins with its binding`);
}
