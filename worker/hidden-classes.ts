/**
 * V8 forgets the hidden class of objects once a few full collections in a row find none of them alive, and with it all
 * optimised code that has seen one. Objects that live as long as a request are often all gone by then, so the functions
 * of the hot path would be compiled again and again. The last object of each such class therefore stays until the next.
 *
 * Object literals need none of this, as long as they name all of their properties: V8 keeps what a literal makes. One
 * with `...rest` in it is made anew each time, hence no such thing on the hot path.
 */
const last = new Map<unknown, object>();

/** Called by a constructor, with `this`. */
export function keepHiddenClass(one: object): void {
  last.set(one.constructor, one);
}
