/** Cuts what is too large to be sent at once. Pure. */

export interface Part<T> {
  items: T[];
  /** Of all items together. */
  size: number;
}

/**
 * All items in their order, in parts as large as they may be; an item that is larger is a part of its own. Of no items
 * there is no part.
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
