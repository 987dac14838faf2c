import { dot } from "./features.ts";
import { symmetricEigen } from "./symmetric-eigen.ts";

/**
 * The squared singular values of a matrix R, given by rows, from large to small: the eigenvalues of RRᵀ or RᵀR,
 * whichever is smaller (the other has these and zeros). What cannot be told from rounding, size · 2⁻⁵² of the largest,
 * is 0.
 */
export function gramEigenvalues(rows: readonly Float64Array[]): Float64Array {
  const smaller = rows.length <= rows[0]!.length ? rows : transpose(rows);
  const { values } = symmetricEigen(products(smaller, smaller));
  const rounding = smaller.length * Number.EPSILON * values[0]!;
  return values.map((value) => (value <= rounding ? 0 : value));
}

/** X Yᵀ: the dot products of all rows of X with all of Y. */
export const products = (x: readonly Float64Array[], y: readonly Float64Array[]): Float64Array[] =>
  x.map((row) => Float64Array.from(y, (other) => dot(row, other)));

export const transpose = (rows: readonly Float64Array[]): Float64Array[] =>
  Array.from(rows[0]!, (_, d) => Float64Array.from(rows, (row) => row[d]!));
