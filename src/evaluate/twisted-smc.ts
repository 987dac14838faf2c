import { effectiveSampleSize, logMeanExp, systematicResample } from "../core/importance.ts";
import { Rng } from "../core/rng.ts";
import { rowsAt } from "../core/rows.ts";
import type { Chain } from "../diffusion/index.ts";
import { type ExactReward, rewardAt } from "../models/exact-target.ts";
import { dimensionOf, type Mixture } from "../models/mixture.ts";
import { type LocalShape, type LogTwist, logTwist } from "../models/twist.ts";
import type { Runtime } from "../runtime/index.ts";
import type { SamplingParts } from "../train/prepare.ts";
import { chainForecasts } from "./chain-forecasts.ts";
import { openChainMeans } from "./chain-means.ts";

export interface SmcOptions {
  prompt: string;
  /** Law of the data and reward of this prompt. */
  prior: Mixture;
  reward: ExactReward;
  /** Above 0. */
  beta: number;
  /** Independent filters, and particles of each. */
  filters: number;
  particles: number;
  seed: number;
  /** Particles for which the network is evaluated together. */
  block: number;
  signal?: AbortSignal | undefined;
}

/** What independent filters end with. Particle j of filter f stands at f·particles + j. */
export interface Particles {
  readonly filters: number;
  /** x_T, [filters·particles, D]. */
  readonly points: Float64Array;
  /** log Ẑ_f + log(particles·W_j), W_j the weights of a filter, Σ_j W_j = 1: one weighted set of all filters. */
  readonly logWeights: Float64Array;
  /** Of each filter; Ẑ_f is an unbiased estimate of Z = E_#[exp(β r(x_T))]. */
  readonly logZ: Float64Array;
}

/** A proposal is at most this much wider than a step of the chain, in variance: a twist may be convex where it was expanded. */
const WIDEST = 2;

/**
 * Draws weighted paths of the pretrained T-step chain tilted by exp(β r(x_T)) [wu2023twisted]: a particle filter whose weights
 * carry a twist ψ_i(x_i) near E_#[exp(β r(x_T)) | x_i], ψ_T = exp(β r), so that they learn of the reward all along the chain. Here ψ has a
 * closed form, exact for data of one component (models/twist.ts, chain-forecasts.ts). At each step
 *
 *     x_{i+1} ~ q = N(m, v I): 1/v = 1/σ² − tr ∇²log ψ_{i+1}/D, m = μ_# + v ∇log ψ_{i+1}, derivatives at μ_#, which is
 *               π_# ψ_{i+1} where log ψ is an isotropic quadratic function;
 *     w ← w π_#(x_{i+1}|x_i) ψ_{i+1}(x_{i+1}) / (q(x_{i+1}) ψ_i(x_i)),
 *
 * and a filter with an effective sample size below half its particles is resampled. x_0 ~ N(0, I) is drawn in the same way. The
 * weights keep it exact for the T-step chain with its network, whatever ψ.
 */
export async function twistedSmc(runtime: Runtime, parts: SamplingParts, options: SmcOptions): Promise<Particles> {
  const { prompt, block, signal } = options;
  const { T, steps } = parts.chain;
  const filters = new Filters(options, twists(parts.chain, options));
  const means = await openChainMeans(runtime, parts, prompt, block);
  try {
    for (let i = 0; i < T; i++) {
      signal?.throwIfAborted();
      filters.move(i, i === 0 ? 1 : steps[i - 1]!.sigma);
      filters.resample(i);
      await means.at(i, filters.x, filters.means);
    }
    filters.move(T, steps[T - 1]!.sigma);
  } finally {
    await means.release();
  }
  return filters.end();
}

/** log ψ_i of all states. The states of a component are N(α m_k, α² s_k² + noise²), as the exact network takes them to be. */
function twists(chain: Chain, { prior, reward, beta }: SmcOptions): LogTwist[] {
  const forecasts = chainForecasts(chain, prior);
  return chain.levels.map(({ alphaBar, noise }, i) => {
    const means = prior.means.map((mean) => mean.map((m) => Math.sqrt(alphaBar) * m));
    const stds = prior.stds.map((s) => Math.sqrt(alphaBar * s * s + noise * noise));
    return logTwist({ means, stds, weights: prior.weights }, forecasts[i]!, reward, beta);
  });
}

/** The particles of all filters, side by side. */
class Filters {
  /** States, and the chain's means of their next ones; the latter are 0 before x_0. [n, D] */
  readonly x: Float64Array;
  readonly means: Float64Array;
  readonly #logPsi: Float64Array;
  readonly #logWeights: Float64Array; // since a filter was last resampled
  readonly #logZ: Float64Array; // what resampling took out of the weights
  readonly #options: SmcOptions;
  readonly #twists: readonly LogTwist[];
  readonly #rng: Rng;
  readonly #dimension: number;

  constructor(options: SmcOptions, twists: readonly LogTwist[]) {
    const n = options.filters * options.particles;
    this.#options = options;
    this.#twists = twists;
    this.#rng = new Rng(options.seed);
    this.#dimension = dimensionOf(options.prior);
    this.x = new Float64Array(n * this.#dimension);
    this.means = new Float64Array(n * this.#dimension);
    this.#logPsi = new Float64Array(n);
    this.#logWeights = new Float64Array(n);
    this.#logZ = new Float64Array(options.filters);
  }

  /** Draws x_i for chain noise sigma and weighs it. */
  move(i: number, sigma: number): void {
    const { reward, beta } = this.#options;
    const [D, x, means] = [this.#dimension, this.x, this.means];
    const twist = this.#twists[i]!;
    const last = i === this.#twists.length - 1;
    const variance = sigma * sigma;
    const shape: LocalShape = { value: 0, gradient: new Float64Array(D), curvature: 0 };
    const z = this.#rng.normal(x.length, { purpose: "filter", step: i });
    for (let j = 0, from = 0; from < x.length; j++, from += D) {
      twist(means, from, shape);
      const v = 1 / Math.max(1 / variance - shape.curvature, 1 / (WIDEST * variance));
      const std = Math.sqrt(v);
      let logRatio = D * Math.log(std / sigma); // log π_#/q = D log(√v/σ) + ‖z‖²/2 − ‖x − μ_#‖²/(2σ²)
      for (let d = 0; d < D; d++) {
        const shift = v * shape.gradient[d]! + std * z[from + d]!;
        x[from + d] = means[from + d]! + shift;
        logRatio += (z[from + d]! ** 2 - (shift * shift) / variance) / 2;
      }
      let logPsi: number;
      if (last) logPsi = beta * rewardAt(x.subarray(from, from + D), reward);
      else {
        twist(x, from, shape);
        logPsi = shape.value;
      }
      this.#logWeights[j]! += logPsi - this.#logPsi[j]! + logRatio;
      this.#logPsi[j] = logPsi;
    }
  }

  /** Resamples, at x_i, the filters whose weights have become uneven. */
  resample(i: number): void {
    const { filters, particles } = this.#options;
    for (let f = 0; f < filters; f++) {
      const weights = this.#of(f, this.#logWeights);
      if (effectiveSampleSize(weights) >= particles / 2) continue;
      const chosen = systematicResample(weights, particles, this.#rng, { purpose: "filter", sample: 1 + f, step: i });
      this.#logZ[f]! += logMeanExp(weights);
      weights.fill(0);
      take(this.#of(f, this.x), chosen);
      take(this.#of(f, this.#logPsi), chosen);
    }
  }

  end(): Particles {
    const { filters } = this.#options;
    const logZ = this.#logZ.map((sum, f) => sum + logMeanExp(this.#of(f, this.#logWeights)));
    const logWeights = this.#logWeights.map(
      (w, j) => w + this.#logZ[Math.floor((j * filters) / this.#logWeights.length)]!,
    );
    return { filters, points: this.x, logWeights, logZ };
  }

  /** The part of an array that belongs to filter f. */
  #of(f: number, values: Float64Array): Float64Array {
    const size = values.length / this.#options.filters;
    return values.subarray(f * size, (f + 1) * size);
  }
}

/** Replaces the rows of [M, …] by those `chosen`. */
function take(rows: Float64Array, chosen: Int32Array): void {
  rows.set(rowsAt(rows, rows.length / chosen.length, chosen));
}
