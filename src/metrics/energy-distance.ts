import { defineMetric } from "./metric.ts";

/**
 * Energy distance 2E‖X−Y‖ − E‖X−X'‖ − E‖Y−Y'‖ [szekely2013energy], unbiased (a point is not paired with itself, so it
 * may come out slightly negative). Zero only between equal laws.
 *
 * @param x points [n, dimension]
 * @param y points [m, dimension] of the law to compare with; 6,000 or more of both
 * @param withinY `meanDistance(y, dimension)`, where several x are compared with one y
 */
export const energyDistance = defineMetric(
  {
    kind: "energy-distance",
    summary: "unbiased energy distance between samples and the exact target",
    better: "lower",
  },
  (x: ArrayLike<number>, y: ArrayLike<number>, dimension: number, withinY = meanDistance(y, dimension)) => {
    const n = x.length / dimension;
    const m = y.length / dimension;
    const across = distances(columns(x, dimension), columns(y, dimension), () => 0) / (n * m);
    return { value: 2 * across - meanDistance(x, dimension) - withinY, n };
  },
);

/** E‖Y − Y'‖ over pairs of different points [n, dimension]. */
export function meanDistance(points: ArrayLike<number>, dimension: number): number {
  const n = points.length / dimension;
  const own = columns(points, dimension);
  return distances(own, own, (j) => j + 1) / ((n * (n - 1)) / 2);
}

/** One array per coordinate. */
const columns = (points: ArrayLike<number>, dimension: number): Float64Array[] =>
  Array.from({ length: dimension }, (_, d) =>
    Float64Array.from({ length: points.length / dimension }, (_, j) => points[j * dimension + d]!),
  );

/** Σ_j Σ_{k ≥ from(j)} ‖x_j − y_k‖, a row of squared distances at a time, up to four coordinates in one pass. */
function distances(x: readonly Float64Array[], y: readonly Float64Array[], from: (j: number) => number): number {
  const count = y[0]!.length;
  const squares = new Float64Array(count);
  const zeros = new Float64Array(Math.max(count, x[0]!.length)); // coordinates that are missing to a multiple of four
  let total = 0;
  for (let j = 0; j < x[0]!.length; j++) {
    const start = from(j);
    let row = 0;
    if (x.length <= 2) {
      const [y0, y1] = [y[0]!, y[1] ?? zeros];
      const [x0, x1] = [x[0]![j]!, x[1]?.[j] ?? 0];
      for (let k = start; k < count; k++) {
        const d0 = x0 - y0[k]!;
        const d1 = x1 - y1[k]!;
        row += Math.sqrt(d0 * d0 + d1 * d1);
      }
    } else {
      squares.fill(0, start);
      for (let d = 0; d < x.length; d += 4) {
        const [y0, y1, y2, y3] = [y[d]!, y[d + 1] ?? zeros, y[d + 2] ?? zeros, y[d + 3] ?? zeros];
        const [x0, x1, x2, x3] = [x[d]![j]!, x[d + 1]?.[j] ?? 0, x[d + 2]?.[j] ?? 0, x[d + 3]?.[j] ?? 0];
        for (let k = start; k < count; k++) {
          const d0 = x0 - y0[k]!;
          const d1 = x1 - y1[k]!;
          const d2 = x2 - y2[k]!;
          const d3 = x3 - y3[k]!;
          squares[k]! += d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3;
        }
      }
      for (let k = start; k < count; k++) row += Math.sqrt(squares[k]!);
    }
    total += row;
  }
  return total;
}
