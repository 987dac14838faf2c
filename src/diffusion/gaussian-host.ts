// The kernel π(xNext | x) = N(mean, sigma² I) on arrays of the host; sums are in float64. States are [samples, …].

type Floats = Float32Array | Float64Array;

const HALF_LOG_2PI = Math.log(2 * Math.PI) / 2;

/** xNext = mean + sigma·z for z ~ N(0, I), of the type of `mean`. */
export function sample<A extends Floats>(mean: A, sigma: number, z: ArrayLike<number>): A {
  return mean.map((m, k) => m + sigma * z[k]!) as A;
}

/** log π(xNext | x) of each sample, summed over its elements. */
export function logProb(
  xNext: ArrayLike<number>,
  mean: ArrayLike<number>,
  sigma: number,
  samples: number,
): Float64Array {
  const logNorm = Math.log(sigma) + HALF_LOG_2PI;
  return sumPerSample(xNext.length, samples, (k) => -0.5 * ((xNext[k]! - mean[k]!) / sigma) ** 2 - logNorm);
}

/** log π(xNext | x) of each sample, averaged over its elements: the scale on which clip ranges are given. */
export function meanLogProb(
  xNext: ArrayLike<number>,
  mean: ArrayLike<number>,
  sigma: number,
  samples: number,
): Float64Array {
  return logProb(xNext, mean, sigma, samples).map((total) => (total * samples) / xNext.length);
}

/**
 * log π_θ/π_# of each sample for two kernels of equal sigma: (mean − reference)·(2 xNext − mean − reference)/(2σ²),
 * without the difference of two large numbers.
 */
export function logRatio(
  xNext: ArrayLike<number>,
  mean: ArrayLike<number>,
  reference: ArrayLike<number>,
  sigma: number,
  samples: number,
): Float64Array {
  const scale = 1 / (2 * sigma * sigma);
  return sumPerSample(
    xNext.length,
    samples,
    (k) => scale * (mean[k]! - reference[k]!) * (2 * xNext[k]! - mean[k]! - reference[k]!),
  );
}

/** ∇_xNext log π = −(xNext − mean)/sigma². */
export function scoreNext<A extends Floats>(xNext: A, mean: ArrayLike<number>, sigma: number): A {
  return xNext.map((x, k) => (mean[k]! - x) / (sigma * sigma)) as A;
}

function sumPerSample(length: number, samples: number, term: (k: number) => number): Float64Array {
  const size = length / samples;
  const sums = new Float64Array(samples);
  for (let k = 0; k < length; k++) sums[Math.floor(k / size)]! += term(k);
  return sums;
}
