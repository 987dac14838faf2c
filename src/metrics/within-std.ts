import { defineMetric } from "./metric.ts";
import { nearestModes } from "./modes.ts";

/**
 * Width of the modes relative to the exact target: the pooled standard deviation of points around the mean of the
 * points nearest to the same center, divided by that of exact samples. Below 1, modes are too narrow. Exact samples have 1
 * with a standard error of about 1/√(nD): 0.007 for 10,000 points in 2 dimensions.
 *
 * @param points [n, D], 6,000 or more
 * @param exact samples [m, D] of the target, as many or more
 */
export const withinStd = defineMetric(
  {
    kind: "within-std",
    summary: "standard deviation within modes, relative to the exact target",
    better: "one",
  },
  (points: ArrayLike<number>, exact: ArrayLike<number>, centers: readonly (readonly number[])[]) => ({
    value: pooledStd(points, centers) / pooledStd(exact, centers),
    n: points.length / centers[0]!.length,
  }),
);

/** √(mean over points and coordinates of the squared distance to the mean of the point's own mode). */
export function pooledStd(points: ArrayLike<number>, centers: readonly (readonly number[])[]): number {
  const dimension = centers[0]!.length;
  const nearest = nearestModes(points, centers);
  const counts = new Float64Array(centers.length);
  const means = centers.map(() => new Float64Array(dimension));
  nearest.forEach((mode, j) => {
    const mean = means[mode]!;
    counts[mode]!++;
    for (let d = 0; d < dimension; d++) mean[d]! += (points[j * dimension + d]! - mean[d]!) / counts[mode]!;
  });
  let squares = 0;
  nearest.forEach((mode, j) => {
    for (let d = 0; d < dimension; d++) squares += (points[j * dimension + d]! - means[mode]![d]!) ** 2;
  });
  // each occupied mode's mean takes one degree of freedom per coordinate
  const freedom = (nearest.length - counts.filter((count) => count > 0).length) * dimension;
  return Math.sqrt(squares / freedom);
}
