import { z } from "zod";
import type { Rng, StreamAt } from "../core/rng.ts";
import type { Tensor } from "../tensor/index.ts";

/** Σ_k weights_k N(means_k, stds_k² I), weights summing to 1. */
export interface Mixture {
  readonly means: readonly (readonly number[])[];
  readonly stds: readonly number[];
  readonly weights: readonly number[];
}

/** A mixture as a configuration writes it. */
export const mixtureFields = {
  /** K points of equal dimension. */
  means: z.array(z.array(z.number()).min(1)).min(1),
  /** One standard deviation for all components, or one each. */
  stds: z.union([z.number().positive(), z.array(z.number().positive())]),
  /** Relative weights; equal when omitted. */
  weights: z.array(z.number().nonnegative()).optional(),
};

export interface MixtureOptions {
  means: number[][];
  stds: number | number[];
  weights?: number[] | undefined;
}

/** For `superRefine`: every list has one entry per component, and some component has weight. */
export function checkMixture({ means, stds, weights }: MixtureOptions, context: z.core.$RefinementCtx): void {
  const problem = (key: string, message: string) =>
    context.addIssue({ code: "custom", path: [key], message, input: { means, stds, weights } });
  const dimension = means[0]?.length; // refinements also run on an empty list, which min(1) has refused
  const odd = means.find((mean) => mean.length !== dimension);
  if (odd) problem("means", `all means need ${dimension} coordinates as the first has, but one has ${odd.length}`);
  if (Array.isArray(stds) && stds.length !== means.length) {
    problem("stds", `needs one number, or one for each of the ${means.length} means, but ${stds.length} came`);
  }
  if (weights && weights.length !== means.length) {
    problem("weights", `needs one number for each of the ${means.length} means, but ${weights.length} came`);
  }
  if (weights && !weights.some((w) => w > 0)) problem("weights", "needs at least one weight above 0");
}

/** The mixture that options mean. */
export function mixtureOf({ means, stds, weights }: MixtureOptions): Mixture {
  const relative = weights ?? means.map(() => 1);
  const total = relative.reduce((sum, w) => sum + w, 0);
  return {
    means,
    stds: Array.isArray(stds) ? stds : means.map(() => stds),
    weights: relative.map((w) => w / total),
  };
}

export const dimensionOf = ({ means }: Mixture): number => means[0]!.length;

/**
 * log w_k − (D/2) log 2πs_k² − ‖x − m_k‖²/(2s_k²) of every component, [B, K], from the differences x − m_k [B, K, D], log
 * weights and variances s² [B, K]. Their log Σ exp is the log density.
 */
export function componentLogits(differences: Tensor, logWeights: Tensor, variances: Tensor): Tensor {
  const dimension = differences.shape[2]!;
  const logNorm = variances
    .mul(2 * Math.PI)
    .log()
    .mul(dimension / 2);
  return logWeights.sub(logNorm).sub(differences.square().sum([2]).div(variances).mul(0.5));
}

/** Log density at one point, float64. */
export const logDensity = (mixture: Mixture, x: ArrayLike<number>): number =>
  logSumExp(componentLogDensities(mixture, x));

/** log w_k N(x; m_k, s_k² I) of every component at one point, float64. */
export function componentLogDensities({ means, stds, weights }: Mixture, x: ArrayLike<number>): number[] {
  return means.map((mean, k) => {
    const variance = stds[k]! ** 2;
    const logNorm = (mean.length / 2) * Math.log(2 * Math.PI * variance);
    return Math.log(weights[k]!) - logNorm - squaredDistance(x, mean) / (2 * variance);
  });
}

/** log Σ exp of numbers that may be far below 0. */
export function logSumExp(logits: readonly number[]): number {
  const top = Math.max(...logits);
  return top + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - top), 0));
}

/** ‖x − y‖² of two points. */
export function squaredDistance(x: ArrayLike<number>, y: ArrayLike<number>): number {
  let sum = 0;
  for (let d = 0; d < x.length; d++) sum += (x[d]! - y[d]!) ** 2;
  return sum;
}

/** n independent draws, [n, D]. Uses steps `at.step` (components) and `at.step + 1` (noise) of the stream. */
export function sampleMixture(mixture: Mixture, n: number, rng: Rng, at: StreamAt): Float64Array {
  const dimension = dimensionOf(mixture);
  const step = at.step ?? 0;
  const position = rng.uniform(n, { ...at, step });
  const noise = rng.normal(n * dimension, { ...at, step: step + 1 });
  const points = Float64Array.from(noise);
  for (let j = 0; j < n; j++) {
    const k = componentAt(mixture.weights, position[j]!);
    for (let d = 0; d < dimension; d++) {
      points[j * dimension + d] = mixture.means[k]![d]! + mixture.stds[k]! * noise[j * dimension + d]!;
    }
  }
  return points;
}

/** Index k with Σ_{j<k} w_j ≤ u < Σ_{j≤k} w_j. */
function componentAt(weights: readonly number[], u: number): number {
  let k = 0;
  for (let below = weights[0]!; below <= u && k < weights.length - 1; below += weights[k]!) k++;
  return k;
}
