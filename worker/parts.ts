/** Cuts what is too large to be sent at once. Pure. */

interface Part<T> {
  items: T[];
  /** The sum of the sizes of its items. */
  size: number;
}

/**
 * All items in their order, in parts of at most this size; an item that is larger is a part of its own. No items make no
 * part.
 */
export function* partsUpTo<T>(
  items: Iterable<T>,
  sizeOf: (item: T) => number,
  most: number,
): Generator<Part<T>, void> {
  let part: Part<T> = { items: [], size: 0 };
  for (const item of items) {
    const size = sizeOf(item);
    if (part.items.length > 0 && part.size + size > most) {
      yield part;
      part = { items: [], size: 0 };
    }
    part.items.push(item);
    part.size += size;
  }
  if (part.items.length > 0) yield part;
}
