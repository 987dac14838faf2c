import { effectiveSampleSize, normalizedWeights, systematicResample } from "../core/importance.ts";
import type { Rng, StreamAt } from "../core/rng.ts";
import { rowsAt } from "../core/rows.ts";
import { dimensionOf, logDensity, type Mixture, sampleMixture, squaredDistance } from "./mixture.ts";

/** A reward r = log R of a point, in closed form. */
export type ExactReward =
  | { readonly kind: "quadratic"; readonly center: readonly number[]; readonly tau: number }
  | { readonly kind: "linear"; readonly k: readonly number[] }
  | { readonly kind: "mixture-log-density"; readonly mixture: Mixture };

/** What is known of p*(x) ∝ p(x) exp(β r(x)), in float64. */
export interface ExactTarget {
  /** p* itself where it is a mixture again; then the samples are independent draws of it. */
  readonly mixture?: Mixture;
  /** Where p* is none but nearly one: the centers of its modes, and independent draws [m, D] that tell their shares. */
  readonly modes?: { readonly centers: Mixture["means"]; readonly draws: Float64Array };
  /** Points of p*, [n, D]. */
  readonly samples: Float64Array;
  /** E_{p*}[r]: exact for quadratic and linear rewards, an average otherwise. */
  readonly meanReward: number;
  /** How many independent draws the samples are worth; n where p* is a mixture. */
  readonly ess: number;
}

/** Prior draws per wanted sample where p* has to be reached by importance resampling. */
export const POOL_FACTOR = 16;

/** The target of finetuning in an exact world. Uses steps 0 to 2 of the stream `at`. */
export function exactTarget(
  prior: Mixture,
  reward: ExactReward,
  beta: number,
  n: number,
  rng: Rng,
  at: StreamAt,
): ExactTarget {
  const mixture = tilted(prior, reward, beta);
  if (mixture) {
    const samples = sampleMixture(mixture, n, rng, at);
    return { mixture, samples, meanReward: expectedReward(mixture, reward) ?? mean(rewards(samples, reward)), ess: n };
  }
  const dimension = dimensionOf(prior);
  const pool = sampleMixture(prior, POOL_FACTOR * n, rng, at);
  const r = rewards(pool, reward);
  const logWeights = r.map((value) => beta * value);
  const chosen = systematicResample(logWeights, n, rng, { ...at, step: (at.step ?? 0) + 2 });
  const samples = rowsAt(pool, dimension, chosen);
  const weights = normalizedWeights(logWeights);
  const meanReward = weights.reduce((sum, w, k) => sum + w * r[k]!, 0);
  return { samples, meanReward, ess: Math.min(n, effectiveSampleSize(logWeights)) };
}

/**
 * p exp(β r)/Z as a mixture, or undefined where it is none: the product of p and exp(β r)/Z where that is one. For
 * r = −‖x−c‖²/(2τ²), a Gaussian of variance τ²/β around c, every component has
 * prec_k = 1/s_k² + β/τ²,  m*_k = (m_k/s_k² + βc/τ²)/prec_k,  s*_k² = 1/prec_k,
 * w*_k ∝ w_k (s_k² + τ²/β)^{−D/2} exp(−½ ‖m_k−c‖²/(s_k² + τ²/β)).
 */
export function tilted(prior: Mixture, reward: ExactReward, beta: number): Mixture | undefined {
  if (beta === 0) return prior;
  if (reward.kind === "linear") return tiltedLinear(prior, reward.k, beta);
  const law = rewardLaw(reward, beta);
  return law && product(prior, law);
}

/** exp(β r)/Z without a prior: a mixture, or undefined where it is none or has no finite integral. */
export function rewardLaw(reward: ExactReward, beta: number): Mixture | undefined {
  switch (reward.kind) {
    case "quadratic":
      return beta > 0 ? { means: [reward.center], stds: [reward.tau / Math.sqrt(beta)], weights: [1] } : undefined;
    case "linear":
      return undefined;
    case "mixture-log-density":
      return beta === 1 ? reward.mixture : undefined;
  }
}

/** r = k·x:  m*_k = m_k + β s_k² k,  s*_k = s_k,  w*_k ∝ w_k exp(β k·m_k + β² s_k² ‖k‖²/2). */
function tiltedLinear({ means, stds, weights }: Mixture, k: readonly number[], beta: number): Mixture {
  const logWeights = means.map((mean, j) => {
    return Math.log(weights[j]!) + beta * dot(k, mean) + (beta * stds[j]!) ** 2 * (dot(k, k) / 2);
  });
  return {
    means: means.map((mean, j) => mean.map((m, d) => m + beta * stds[j]! ** 2 * k[d]!)),
    stds,
    weights: [...normalizedWeights(logWeights)],
  };
}

/**
 * The product of two mixtures' densities, scaled to integrate to 1: a mixture of all pairs of components,
 * N(x; m, s²) N(x; n, t²) = N(m; n, s²+t²) N(x; (m/s² + n/t²)/prec, 1/prec),  prec = 1/s² + 1/t².
 */
export function product(p: Mixture, q: Mixture): Mixture {
  const pairs = p.means.flatMap((m, i) => q.means.map((n, j) => ({ m, n, i, j })));
  const components = pairs.map(({ m, n, i, j }) => {
    const [s2, t2] = [p.stds[i]! ** 2, q.stds[j]! ** 2];
    const precision = 1 / s2 + 1 / t2;
    const overlap = -(m.length / 2) * Math.log(s2 + t2) - squaredDistance(m, n) / (2 * (s2 + t2));
    return {
      mean: m.map((value, d) => (value / s2 + n[d]! / t2) / precision),
      std: Math.sqrt(1 / precision),
      logWeight: Math.log(p.weights[i]!) + Math.log(q.weights[j]!) + overlap,
    };
  });
  return {
    means: components.map(({ mean }) => mean),
    stds: components.map(({ std }) => std),
    weights: [...normalizedWeights(components.map(({ logWeight }) => logWeight))],
  };
}

/** E[r] under a mixture, where it has a closed form. */
export function expectedReward({ means, stds, weights }: Mixture, reward: ExactReward): number | undefined {
  const average = (value: (mean: readonly number[], std: number) => number) =>
    weights.reduce((sum, w, k) => sum + w * value(means[k]!, stds[k]!), 0);
  switch (reward.kind) {
    // E‖x−c‖² = ‖m−c‖² + D s²
    case "quadratic":
      return average((m, s) => -(squaredDistance(m, reward.center) + m.length * s * s) / (2 * reward.tau * reward.tau));
    case "linear":
      return average((m) => dot(reward.k, m));
    case "mixture-log-density":
      return undefined;
  }
}

/** r of one point. */
export function rewardAt(x: ArrayLike<number>, reward: ExactReward): number {
  switch (reward.kind) {
    case "quadratic":
      return -squaredDistance(x, reward.center) / (2 * reward.tau * reward.tau);
    case "linear":
      return dot(reward.k, x);
    case "mixture-log-density":
      return logDensity(reward.mixture, x);
  }
}

/** r of points [n, D]. */
export function rewards(points: Float32Array | Float64Array, reward: ExactReward): Float64Array {
  const dimension = rewardDimension(reward);
  return Float64Array.from({ length: points.length / dimension }, (_, j) =>
    rewardAt(points.subarray(j * dimension, (j + 1) * dimension), reward),
  );
}

function rewardDimension(reward: ExactReward): number {
  switch (reward.kind) {
    case "quadratic":
      return reward.center.length;
    case "linear":
      return reward.k.length;
    case "mixture-log-density":
      return dimensionOf(reward.mixture);
  }
}

const mean = (values: Float64Array): number => values.reduce((sum, v) => sum + v, 0) / values.length;

function dot(x: ArrayLike<number>, y: ArrayLike<number>): number {
  let sum = 0;
  for (let d = 0; d < x.length; d++) sum += x[d]! * y[d]!;
  return sum;
}
