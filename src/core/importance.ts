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
