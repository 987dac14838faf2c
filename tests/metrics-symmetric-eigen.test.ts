import { describe, expect, test } from "vitest";
import { NonFiniteError, Rng, ShapeError } from "../src/core/index.ts";
import { gramEigenvalues } from "../src/metrics/gram.ts";
import { symmetricEigen } from "../src/metrics/symmetric-eigen.ts";

const rng = new Rng(21);
const normalRows = (n: number, size: number, step: number) =>
  Array.from({ length: n }, (_, sample) =>
    Float64Array.from(rng.normal(size, { purpose: "test", step: 100 * step + sample })),
  );
const symmetric = (size: number, step: number, scale = 1) => {
  const rows = normalRows(size, size, step);
  return rows.map((row, i) => row.map((value, j) => scale * (value + rows[j]![i]!)));
};
const fill = (size: number, element: (i: number, j: number) => number) =>
  Array.from({ length: size }, (_, i) => Array.from({ length: size }, (_, j) => element(i, j)));
const largestOf = (values: Iterable<number>) => [...values].reduce((most, v) => Math.max(most, Math.abs(v)), 0);
const difference = (x: Float64Array, y: readonly number[]) => largestOf(x.map((v, k) => v - y[k]!));

describe("symmetric eigenvalues", () => {
  test("of the second difference −1, 2, −1 are 2 − 2cos(kπ/(n+1))", () => {
    const n = 17;
    const { values } = symmetricEigen(fill(n, (i, j) => (i === j ? 2 : Math.abs(i - j) === 1 ? -1 : 0)));
    const wanted = Array.from({ length: n }, (_, k) => 2 - 2 * Math.cos(((n - k) * Math.PI) / (n + 1)));
    expect(difference(values, wanted)).toBeLessThan(1e-14);
  });

  test("of ones are n and zeros, of a diagonal its elements in order, of [[0, 1], [1, 0]] ±1, of one number itself", () => {
    expect(difference(symmetricEigen(fill(6, () => 1)).values, [6, 0, 0, 0, 0, 0])).toBeLessThan(1e-14);
    expect([...symmetricEigen(fill(3, (i, j) => (i === j ? [2, -7, 5][i]! : 0))).values]).toEqual([5, 2, -7]);
    expect(difference(symmetricEigen(fill(2, (i, j) => Math.abs(i - j))).values, [1, -1])).toBeLessThan(1e-15);
    expect([...symmetricEigen([[-3]]).values]).toEqual([-3]);
    expect([...symmetricEigen(fill(3, () => 0)).values]).toEqual([0, 0, 0]);
  });

  test.each([1, 1e150, 1e-150])("A V = V Λ and VᵀV = I to rounding, at scale %d", (scale) => {
    for (const size of [2, 5, 40]) {
      const matrix = symmetric(size, size, scale);
      const { values, vectors } = symmetricEigen(matrix);
      const rounding = size * 2 ** -52;
      vectors.forEach((vector, k) => {
        matrix.forEach((row, i) => {
          const residual = row.reduce((sum, value, j) => sum + value * vector[j]!, 0) - values[k]! * vector[i]!;
          expect(Math.abs(residual)).toBeLessThan(4 * rounding * Math.abs(largestOf(values)));
        });
        vectors.forEach((other, j) => {
          const product = vector.reduce((sum, value, d) => sum + value * other[d]!, 0);
          expect(Math.abs(product - (j === k ? 1 : 0))).toBeLessThan(4 * rounding);
        });
      });
      expect([...values]).toEqual([...values].sort((p, q) => q - p));
    }
  });

  test("of a matrix that is not square, not symmetric or not finite are refused", () => {
    expect(() => symmetricEigen([[1, 2], [2]])).toThrow(ShapeError);
    expect(() => symmetricEigen(fill(3, (i, j) => (i < j ? 1 : 0)))).toThrow(/\(1, 0\) and \(0, 1\) are 0 and 1/);
    expect(() => symmetricEigen([[Number.NaN]])).toThrow(NonFiniteError);
    expect(() => symmetricEigen(fill(2, (i, j) => (i + j === 1 ? Infinity : 0)))).toThrow(NonFiniteError);
  });
});

describe("squared singular values", () => {
  test("are the same of a matrix and its transpose, and sum to its squares", () => {
    const rows = normalRows(9, 4, 50);
    const turned = Array.from({ length: 4 }, (_, d) => Float64Array.from(rows, (row) => row[d]!));
    const values = gramEigenvalues(rows);
    expect(values).toHaveLength(4);
    expect(difference(gramEigenvalues(turned), [...values])).toBeLessThan(1e-12);
    const squares = rows.reduce((sum, row) => sum + row.reduce((s, v) => s + v * v, 0), 0);
    expect(values.reduce((sum, v) => sum + v, 0)).toBeCloseTo(squares, 11);
  });

  test("beyond the rank are exactly 0", () => {
    const [x, y] = normalRows(2, 8, 60) as [Float64Array, Float64Array];
    const values = gramEigenvalues([x, y, x.map((v, d) => 3 * v - y[d]!), y]);
    expect([...values].map((v) => v === 0)).toEqual([false, false, true, true]);
  });
});
