/** Index of the nearest center of each point: points [n, D] row-major, centers of dimension D; ties go to the first. */
export function nearestModes(points: ArrayLike<number>, centers: readonly (readonly number[])[]): Int32Array {
  const dimension = centers[0]!.length;
  return Int32Array.from({ length: points.length / dimension }, (_, j) => {
    let nearest = 0;
    let least = Infinity;
    centers.forEach((center, k) => {
      let distance = 0;
      for (let d = 0; d < dimension; d++) distance += (points[j * dimension + d]! - center[d]!) ** 2;
      if (distance < least) {
        least = distance;
        nearest = k;
      }
    });
    return nearest;
  });
}

/** Share of the points whose nearest center is each center. */
export function modeWeights(points: ArrayLike<number>, centers: readonly (readonly number[])[]): Float64Array {
  const nearest = nearestModes(points, centers);
  const weights = new Float64Array(centers.length);
  for (const k of nearest) weights[k]! += 1 / nearest.length;
  return weights;
}
