/** Why a request has no answer, in a few words: `fetch failed` says nothing; its cause does. */
export function networkFault(cause: unknown): string {
  if (!(cause instanceof Error)) return "network: unknown";
  if (cause.name === "TimeoutError") return "network: no answer in time";
  const inner = cause.cause;
  if (!(inner instanceof Error)) return `network: ${cause.message}`;
  return `network: ${"code" in inner && typeof inner.code === "string" ? inner.code : inner.message}`;
}
