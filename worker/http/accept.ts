/** Which form of an answer a caller prefers, by its `Accept` (RFC 9110, 12.5.1). Pure. */

interface Range {
  type: string;
  quality: number;
}

/**
 * @param offered The first is for callers who ask for none of them: an answer in another form is better than none.
 * @returns the offered type of the highest quality; of several the one that is named first.
 */
export function preferredType(accept: string | undefined, offered: readonly [string, ...string[]]): string {
  const ranges = (accept ?? "").split(",").map(rangeOf);
  const named = ranges.filter(({ type, quality }) => offered.includes(type) && quality > 0);
  const [first] = named.toSorted((a, b) => b.quality - a.quality);
  const [standard] = offered;
  const any = ranges.find(({ type }) => type === "*/*")?.quality ?? 0;
  const isStandardRefused = ranges.some(({ type, quality }) => type === standard && quality === 0);
  if (!first || (any > first.quality && !isStandardRefused)) return standard;
  return first.type;
}

function rangeOf(text: string): Range {
  const [type = "", ...parameters] = text.split(";").map((part) => part.trim().toLowerCase());
  const quality = parameters.find((parameter) => parameter.startsWith("q="));
  const number = quality === undefined ? 1 : Number(quality.slice("q=".length));
  return { type, quality: Number.isFinite(number) ? number : 0 };
}
