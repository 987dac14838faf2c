import { effectiveSampleSize, logMeanExp, normalizedWeights } from "../core/importance.ts";
import { type ExactReward, rewards } from "../models/exact-target.ts";
import type { Particles } from "./twisted-smc.ts";

/** What the spread between independent filters says of their particles. */
export interface FilterSpread {
  /** How many independent draws of the target all particles together are worth, at most their number. */
  readonly ess: number;
  /** log of the mean Ẑ, and the relative standard error of that mean. */
  readonly logZ: number;
  readonly errorZ: number;
}

/**
 * Particles of a filter share ancestors, which their last weights do not tell: a filter that was resampled late has even weights
 * and few independent particles. The spread over filters does tell. The effective size is the least of
 *
 * - (Σw)²/Σw² of the weights of all particles;
 * - n/(1 + n var(mean Ẑ)/Z²), which for filters that are never resampled estimates the same;
 * - var(φ)/var(mean φ) for φ = r(x_T), and for φ the coordinates, their variances added: independent draws have a mean of variance
 *   var(φ)/n.
 *
 * With F filters each estimate has a relative error of √(2/(F−1)), and the least of them leans to the low side.
 */
export function filterSpread({ filters, points, logWeights, logZ }: Particles, reward: ExactReward): FilterSpread {
  const n = logWeights.length;
  const shares = normalizedWeights(logZ).map((share) => share * filters); // Ẑ_f over their mean
  const errorZ = Math.sqrt(variance(shares) / filters);
  const ess = Math.min(
    effectiveSampleSize(logWeights),
    n / (1 + n * errorZ ** 2),
    essOfMeans(rewards(points, reward), logWeights, filters),
    essOfMeans(points, logWeights, filters),
  );
  return { ess, logZ: logMeanExp(logZ), errorZ };
}

/**
 * Σ_c var(φ_c) / Σ_c var(mean of φ_c) for columns φ [n, C], at most n. In the variance of the mean all filters count alike, so that
 * one of great Ẑ cannot hide how far the others are.
 */
function essOfMeans(columns: Float64Array, logWeights: Float64Array, filters: number): number {
  const n = logWeights.length;
  const width = columns.length / n;
  const size = n / filters;
  const pooled = normalizedWeights(logWeights);
  const own = Array.from({ length: filters }, (_, f) =>
    normalizedWeights(logWeights.subarray(f * size, (f + 1) * size)),
  );
  const means = new Float64Array(filters);
  let [within, between] = [0, 0];
  for (let c = 0; c < width; c++) {
    let [first, second] = [0, 0];
    for (let j = 0; j < n; j++) {
      const value = columns[j * width + c]!;
      first += pooled[j]! * value;
      second += pooled[j]! * value * value;
    }
    for (let f = 0; f < filters; f++) {
      means[f] = own[f]!.reduce((sum, w, j) => sum + w * columns[(f * size + j) * width + c]!, 0);
    }
    within += second - first * first;
    between += variance(means) / filters;
  }
  return Math.min(n, within / between);
}

/** With n − 1. */
function variance(values: Float64Array): number {
  const mean = values.reduce((p, q) => p + q, 0) / values.length;
  return values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (values.length - 1);
}
