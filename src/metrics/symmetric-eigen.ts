import { NonFiniteError, ShapeError } from "../core/errors.ts";

/** A = Σ_k values[k] vectors[k] vectors[k]ᵀ, the eigenvalues from large to small, the vectors orthonormal. */
export interface SymmetricEigen {
  readonly values: Float64Array;
  readonly vectors: readonly Float64Array[];
}

/** About 6 to 10 sweeps converge, quadratically at the end; the bound only ends a dance of rounding errors. */
const mostSweeps = 60;

/**
 * Eigenvalues and eigenvectors of a symmetric matrix, given by rows, by cyclic Jacobi rotations [golub2013matrix], in
 * float64: every eigenvalue to about size · 2⁻⁵² of the largest. A sweep takes about 4 size³ multiplications: for sizes
 * up to a few hundred. Throws ShapeError for a matrix that is not square or not symmetric, NonFiniteError for NaN or
 * infinity.
 */
export function symmetricEigen(matrix: readonly ArrayLike<number>[]): SymmetricEigen {
  const size = matrix.length;
  const largest = largestElement(matrix);
  const a = matrix.map((row) => Float64Array.from(row));
  const v = a.map((_, k) => Float64Array.from(a, (_row, j) => (j === k ? 1 : 0)));
  const negligible = (Number.EPSILON * largest) / size;
  let rotated = true;
  for (let sweep = 0; rotated && sweep < mostSweeps; sweep++) {
    rotated = false;
    for (let p = 0; p < size; p++) {
      for (let q = p + 1; q < size; q++) {
        if (Math.abs(a[p]![q]!) <= negligible) continue;
        rotate(a, v, p, q);
        rotated = true;
      }
    }
  }
  const order = v.map((_, k) => k).sort((j, k) => a[k]![k]! - a[j]![j]!);
  return { values: Float64Array.from(order, (k) => a[k]![k]!), vectors: order.map((k) => v[k]!) };
}

/** A ← JᵀAJ and V ← JᵀV with the rotation J of the plane (p, q) that makes A_pq zero; the smaller of its two angles. */
function rotate(a: readonly Float64Array[], v: readonly Float64Array[], p: number, q: number): void {
  const [ap, aq] = [a[p]!, a[q]!];
  const apq = ap[q]!;
  const theta = (aq[q]! - ap[p]!) / (2 * apq);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1)); // tan of the angle
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  const [app, aqq] = [ap[p]! - t * apq, aq[q]! + t * apq];
  turn(ap, aq, c, s);
  turn(v[p]!, v[q]!, c, s);
  ap[p] = app;
  aq[q] = aqq;
  ap[q] = 0;
  aq[p] = 0;
  for (let k = 0; k < a.length; k++) {
    a[k]![p] = ap[k]!;
    a[k]![q] = aq[k]!;
  }
}

function turn(x: Float64Array, y: Float64Array, c: number, s: number): void {
  for (let k = 0; k < x.length; k++) {
    const xk = x[k]!;
    x[k] = c * xk - s * y[k]!;
    y[k] = s * xk + c * y[k]!;
  }
}

/** The largest absolute element of a matrix that is symmetric and finite. */
function largestElement(matrix: readonly ArrayLike<number>[]): number {
  const size = matrix.length;
  let largest = 0;
  matrix.forEach((row, i) => {
    if (row.length !== size) {
      throw new ShapeError(`A symmetric matrix is square, but row ${i} of ${size} has ${row.length} elements.`);
    }
    for (let j = 0; j <= i; j++) {
      const [here, there] = [row[j]!, matrix[j]![i]!];
      if (!Number.isFinite(here) || !Number.isFinite(there)) {
        throw new NonFiniteError(
          `Eigenvalues are of a finite matrix, but elements (${i}, ${j}) and (${j}, ${i}) are ${here} and ${there}. Scale the data down, or leave out what is not finite.`,
        );
      }
      if (here !== there) {
        throw new ShapeError(
          `A symmetric matrix equals its transpose, but elements (${i}, ${j}) and (${j}, ${i}) are ${here} and ${there}. Give (A + Aᵀ)/2.`,
        );
      }
      largest = Math.max(largest, Math.abs(here));
    }
  });
  return largest;
}
