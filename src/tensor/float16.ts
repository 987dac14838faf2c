/**
 * The number of IEEE binary16 nearest to x, ties to even: 11 significant bits, exponents from −14, below that multiples of
 * 2⁻²⁴. From 65520 on it is infinity. Scaling by powers of 2 is exact in float64, so x is rounded once.
 */
export function roundToHalf(x: number): number {
  const magnitude = Math.abs(x);
  if (!(magnitude < OVERFLOW)) return Number.isNaN(x) ? x : Math.sign(x) * Infinity;
  if (magnitude === 0) return x;
  let exponent = LEAST_EXPONENT;
  while (magnitude >= 2 ** (exponent + 1)) exponent++;
  const quantum = 2 ** (exponent - 10); // distance of neighbouring halves
  return roundToEven(x / quantum) * quantum;
}
/** Halfway between the largest half 65504 and what would be the next. */
const OVERFLOW = 65520;
const LEAST_EXPONENT = -14;

/** The nearest integer, of two equally near ones the even one. */
export const roundToEven = (x: number): number => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
