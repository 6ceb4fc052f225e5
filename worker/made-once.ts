/**
 * Derives a value from an object once, and keeps it for as long as the object lives. It pays where the same object comes
 * again: the input of a repeated request (see `http/known-inputs.ts`), a document that stays in memory.
 *
 * @param make Depends on the object alone; what it throws is thrown on, and nothing is kept.
 */
export function madeOnce<O extends object, T extends NonNullable<unknown>>(make: (of: O) => T): (of: O) => T {
  const made = new WeakMap<O, T>();
  return (of) => {
    const known = made.get(of);
    if (known !== undefined) return known;
    const value = make(of);
    made.set(of, value);
    return value;
  };
}
