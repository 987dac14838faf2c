import type { Rng, StreamAt } from "./rng.ts";

/** Importance weights exp(logWeights), scaled to sum to 1. */
export function normalizedWeights(logWeights: ArrayLike<number>): Float64Array {
  let top = -Infinity;
  for (let k = 0; k < logWeights.length; k++) top = Math.max(top, logWeights[k]!);
  const weights = Float64Array.from(logWeights, (w) => Math.exp(w - top));
  const total = weights.reduce((sum, w) => sum + w, 0);
  return weights.map((w) => w / total);
}

/** Effective number of independent draws (Σw)²/Σw² [kong1992note], from 1 to the number of weights. */
export function effectiveSampleSize(logWeights: ArrayLike<number>): number {
  return 1 / normalizedWeights(logWeights).reduce((sum, w) => sum + w * w, 0);
}

/**
 * Effective samples that measures of a weighted set must rest on. The share of a mode then has a standard error of at most
 * √(¼/100) = 0.05, about the differences in mode TV that tell methods apart.
 */
export const leastEss = 100;

/** Whether measures may rest on so many effective samples. */
export const enoughEss = (ess: number): boolean => ess >= leastEss;

/** log of the mean of exp(values), which are finite. */
export function logMeanExp(values: ArrayLike<number>): number {
  let top = -Infinity;
  for (let k = 0; k < values.length; k++) top = Math.max(top, values[k]!);
  let sum = 0;
  for (let k = 0; k < values.length; k++) sum += Math.exp(values[k]! - top);
  return top + Math.log(sum / values.length);
}

/**
 * Systematic resampling: `count` indices, ascending, index k drawn count·w_k times on average and never off by 1 or
 * more. One uniform of the stream `at` places all of them.
 */
export function systematicResample(logWeights: ArrayLike<number>, count: number, rng: Rng, at: StreamAt): Int32Array {
  const weights = normalizedWeights(logWeights);
  const offset = rng.uniform(1, at)[0]!;
  const chosen = new Int32Array(count);
  let k = 0;
  let below = weights[0]!; // Σ weights up to k
  for (let j = 0; j < count; j++) {
    const position = (j + offset) / count;
    while (below < position && k < weights.length - 1) below += weights[++k]!;
    chosen[j] = k;
  }
  return chosen;
}
