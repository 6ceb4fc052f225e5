/** @returns A thing that is made when it is first asked for, so that the start does not pay for it, and kept. */
export function lazily<T>(make: () => T): () => T {
  let made: { thing: T } | undefined;
  return () => {
    made ??= { thing: make() };
    return made.thing;
  };
}
