/** The service's own warnings and errors, alike ones together, with how often they came; the most frequent first. */
export function complaintsOf(outputs: readonly string[]): [string, number][] {
  const times = new Map<string, number>();
  for (const [, line = ""] of outputs
    .join("\n")
    .matchAll(/^\d\d:\d\d:\d\d\.\d{3} ((?:WARNING|ERROR) .*)$/gm)) {
    const alike = line.replaceAll(/\b[a-z_]+=(?=\S*\d)(?!cause)\S+ ?/g, "");
    times.set(alike, (times.get(alike) ?? 0) + 1);
  }
  return [...times].sort(([, a], [, b]) => b - a);
}
