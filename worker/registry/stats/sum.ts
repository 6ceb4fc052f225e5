/**
 * Sums of float64 numbers without rounding, so that the order in which they come does not matter. Pure.
 *
 * Messages arrive in any order and in batches of any size; a plain sum would be another one each time. Method: J. R.
 * Shewchuk, Adaptive Precision Floating-Point Arithmetic (1997), as in Python's `math.fsum`.
 */

/** Numbers that do not overlap, the smallest first: their sum is the exact one. Forty at most, as a rule one or two. */
export type ExactSum = readonly number[];

/** Sums are kept that much smaller, a power of two, so that 2^40 numbers of any size do not overflow. */
const SCALE = 2 ** -40;

export const NOTHING: ExactSum = [];

export function sumOf(number: number): ExactSum {
  const scaled = number * SCALE;
  return scaled === 0 ? NOTHING : [scaled];
}

export function addSums(a: ExactSum, b: ExactSum): ExactSum {
  return b.reduce(grow, a);
}

/** Adds one number: what each addition rounds away becomes a part of its own. */
function grow(parts: ExactSum, number: number): ExactSum {
  const grown: number[] = [];
  let total = number;
  for (const part of parts) {
    const [large, small] = Math.abs(total) < Math.abs(part) ? [part, total] : [total, part];
    total = large + small;
    const lost = small - (total - large);
    if (lost !== 0) grown.push(lost);
  }
  if (total !== 0) grown.push(total);
  return grown;
}

/** The mean of `count` numbers, from their sum rounded once. */
export function meanOf(sum: ExactSum, count: number): number {
  return rounded(sum) / count / SCALE;
}

/** The float64 next to the exact sum; of two that are equally near the even one, however the parts are cut. */
function rounded(parts: ExactSum): number {
  let at = parts.length - 1;
  let total = parts[at] ?? 0;
  let lost = 0;
  while (at > 0 && lost === 0) {
    at -= 1;
    const before = total;
    const part = parts[at] ?? 0;
    total = before + part;
    lost = part - (total - before);
  }
  const below = parts[at - 1] ?? 0;
  if (at === 0 || Math.sign(lost) !== Math.sign(below)) return total;
  // The halfway case was rounded as if nothing came below it: what does decides.
  const corrected = total + 2 * lost;
  return corrected - total === 2 * lost ? corrected : total;
}
