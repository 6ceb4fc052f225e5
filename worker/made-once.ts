/**
 * What is made of an object: once for each, and gone with it. A repeated request has its input as the same object again,
 * see `http/known-inputs.ts`; a document in memory is one for as long as it is there.
 *
 * @param make Of the object alone; what it throws is thrown, and nothing is kept.
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
