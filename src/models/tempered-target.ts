import { effectiveSampleSize, normalizedWeights, systematicResample } from "../core/importance.ts";
import type { Rng, StreamAt } from "../core/rng.ts";
import { rowsAt } from "../core/rows.ts";
import {
  type ExactReward,
  type ExactTarget,
  exactTarget,
  expectedReward,
  POOL_FACTOR,
  rewards,
  tilted,
} from "./exact-target.ts";
import { componentLogDensities, dimensionOf, logSumExp, type Mixture, sampleMixture } from "./mixture.ts";

/** Draws of the envelope at least, so that the share of a mode has a standard error of at most 0.003. */
const LEAST_DRAWS = 80_000;

/**
 * The components of Σ_k (w_k N(m_k, s_k² I))^η, scaled to integrate to 1: N(m_k, s_k²/η I) with weights
 * ∝ w_k^η s_k^{D(1−η)}. For a single component this is p^η/Z.
 */
export function temperedComponents({ means, stds, weights }: Mixture, eta: number): Mixture {
  const dimension = means[0]!.length;
  const logWeights = stds.map((s, k) => eta * Math.log(weights[k]!) + dimension * (1 - eta) * Math.log(s));
  return { means, stds: stds.map((s) => s / Math.sqrt(eta)), weights: [...normalizedWeights(logWeights)] };
}

/**
 * What is known of p*(x) ∝ p(x)^η exp(β r(x)), 0 < η ≤ 1, which is a mixture for a single component only. Since
 * K^{η−1} Σ_k a_k^η ≤ (Σ_k a_k)^η ≤ Σ_k a_k^η, the tilted tempered components are an envelope of it in any dimension: a draw of
 * theirs, kept with probability p^η / Σ_k (w_k N_k)^η ≥ K^{η−1}, is an independent and exact one of p*. The mean reward is
 * the weighted average of 80,000 draws or more. Where the envelope has no closed form, p* is reached by importance
 * resampling. Uses steps 0 to 2 of the stream `at`.
 */
export function temperedTarget(
  prior: Mixture,
  reward: ExactReward,
  beta: number,
  eta: number,
  n: number,
  rng: Rng,
  at: StreamAt,
): ExactTarget {
  const components = temperedComponents(prior, eta);
  if (prior.means.length === 1) return exactTarget(components, reward, beta, n, rng, at);
  const envelope = tilted(components, reward, beta);
  const dimension = dimensionOf(prior);
  const keptAtLeast = prior.means.length ** (eta - 1);
  const count = Math.max(LEAST_DRAWS, envelope ? Math.ceil((1.2 * n) / keptAtLeast) : POOL_FACTOR * n);
  const draws = sampleMixture(envelope ?? components, count, rng, at);
  const pointAt = (j: number) => draws.subarray(j * dimension, (j + 1) * dimension);
  const logKept = Float64Array.from({ length: count }, (_, j) => logShare(prior, eta, pointAt(j)));
  const r = rewards(draws, reward);
  const logWeights = envelope ? logKept : logKept.map((log, j) => log + beta * r[j]!);
  const uses = { ...at, step: (at.step ?? 0) + 2 };
  const meanReward = averageReward(r, logWeights, envelope && expectedReward(envelope, reward));
  if (!envelope) {
    const samples = rowsAt(draws, dimension, systematicResample(logWeights, n, rng, uses));
    return { samples, meanReward, ess: Math.min(n, effectiveSampleSize(logWeights)) };
  }
  const u = rng.uniform(count, uses);
  const kept = Array.from(u.keys()).filter((j) => Math.log(u[j]!) < logKept[j]!);
  const samples = rowsAt(draws, dimension, kept.slice(0, n));
  return { samples, meanReward, ess: n, modes: { centers: envelope.means, draws: rowsAt(draws, dimension, kept) } };
}

/** log p(x)^η / Σ_k (w_k N_k(x))^η, from (η−1) log K to 0. */
function logShare(prior: Mixture, eta: number, x: ArrayLike<number>): number {
  const logits = componentLogDensities(prior, x);
  return eta * logSumExp(logits) - logSumExp(logits.map((logit) => eta * logit));
}

/** Σ w r; with the mean under the draws' own law known, less how far the plain average is from it. */
function averageReward(r: Float64Array, logWeights: Float64Array, known: number | undefined): number {
  const weighted = normalizedWeights(logWeights).reduce((sum, w, j) => sum + w * r[j]!, 0);
  if (known === undefined) return weighted;
  return weighted - (r.reduce((sum, value) => sum + value, 0) / r.length - known);
}
