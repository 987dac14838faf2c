import { defineMetric } from "./metric.ts";

/**
 * Energy distance 2E‖X−Y‖ − E‖X−X'‖ − E‖Y−Y'‖ [szekely2013energy], unbiased (a point is not paired with itself, so it
 * may come out slightly negative). Zero only between equal laws.
 *
 * @param x points [n, dimension]
 * @param y points [m, dimension] of the law to compare with; 6,000 or more of both
 */
export const energyDistance = defineMetric(
  {
    kind: "energy-distance",
    summary: "unbiased energy distance between samples and the exact target",
    better: "lower",
  },
  (x: ArrayLike<number>, y: ArrayLike<number>, dimension: number) => {
    const n = x.length / dimension;
    const m = y.length / dimension;
    const [xColumns, yColumns] = [columns(x, dimension), columns(y, dimension)];
    const across = distances(xColumns, yColumns, () => 0) / (n * m);
    const withinX = distances(xColumns, xColumns, (j) => j + 1) / ((n * (n - 1)) / 2);
    const withinY = distances(yColumns, yColumns, (j) => j + 1) / ((m * (m - 1)) / 2);
    return { value: 2 * across - withinX - withinY, n };
  },
);

/** One array per coordinate. */
const columns = (points: ArrayLike<number>, dimension: number): Float64Array[] =>
  Array.from({ length: dimension }, (_, d) =>
    Float64Array.from({ length: points.length / dimension }, (_, j) => points[j * dimension + d]!),
  );

/** Σ_j Σ_{k ≥ from(j)} ‖x_j − y_k‖. A row of squared distances at a time, coordinate by coordinate. */
function distances(x: readonly Float64Array[], y: readonly Float64Array[], from: (j: number) => number): number {
  const count = y[0]!.length;
  const squares = new Float64Array(count);
  let total = 0;
  for (let j = 0; j < x[0]!.length; j++) {
    squares.fill(0);
    for (let d = 0; d < x.length; d++) {
      const column = y[d]!;
      const at = x[d]![j]!;
      for (let k = from(j); k < count; k++) {
        const difference = at - column[k]!;
        squares[k]! += difference * difference;
      }
    }
    let row = 0;
    for (let k = from(j); k < count; k++) row += Math.sqrt(squares[k]!);
    total += row;
  }
  return total;
}
