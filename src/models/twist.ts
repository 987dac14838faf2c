import type { ExactReward } from "./exact-target.ts";
import { dimensionOf, type Mixture, squaredDistance } from "./mixture.ts";

/** A smooth function near a point: its value there, its gradient, and the mean of its second derivatives, tr ∇²/D. */
export interface LocalShape {
  value: number;
  readonly gradient: Float64Array;
  curvature: number;
}

/** Writes the shape of log ψ at the point that x holds from `offset` on. */
export type LogTwist = (x: Float64Array, offset: number, shape: LocalShape) => void;

/** The end y ~ N(slope·x + shift, variance I) of a path that is at x and belongs to one component of the data. */
export interface Forecast {
  readonly slope: number;
  readonly shift: readonly number[];
  readonly variance: number;
}

/**
 * log ψ for ψ(x) = E[exp(β r(y)) | x] = Σ_k ρ_k(x) E[exp(β r(y)) | x, k]: what a noisy state promises. ρ_k(x) ∝ w_k N(x; m_k, v_k) is
 * the chance of component k in the states' law p, and `forecasts` say what the component makes of x. Every term of ψ p is a
 * Gaussian, so that ψ is a ratio of two mixtures. β > 0. Exact for the rewards of `exponentials`.
 */
export function logTwist(states: Mixture, forecasts: readonly Forecast[], reward: ExactReward, beta: number): LogTwist {
  const prior = states.means.map((mean, k): Component => {
    return { mean, variance: states.stds[k]! ** 2, logWeight: Math.log(states.weights[k]!) };
  });
  const above = new LogMixture(prior.flatMap((component, k) => promised(component, forecasts[k]!, reward, beta)));
  const below = new LogMixture(prior);
  return (x, offset, shape) => {
    shape.value = 0;
    shape.curvature = 0;
    shape.gradient.fill(0);
    above.add(x, offset, shape, 1);
    below.add(x, offset, shape, -1);
  };
}

/** exp(logWeight) N(mean, variance I) */
interface Component {
  readonly mean: readonly number[];
  readonly variance: number;
  readonly logWeight: number;
}

/**
 * w N(x; m, v) E[exp(β r(y))], y ~ N(a x + b, c). Of y by itself the variance is S = c + a² v and the mean M = a m + b:
 * - exp(−κ‖y−z‖²/2): weight w (1 + κS)^{−D/2} exp(−κ/(1+κS) ‖M−z‖²/2); with λ = κ/(1+κc), precision 1/v + λa² and
 *   mean (m/v + λa(z − b)) over it;
 * - exp(k·y): weight w exp(k·M + ‖k‖² S/2), variance v, mean m + v a k.
 */
function promised(
  { mean, variance: v, logWeight }: Component,
  f: Forecast,
  reward: ExactReward,
  beta: number,
): Component[] {
  const { slope: a, shift: b, variance: c } = f;
  const S = c + a * a * v;
  const M = mean.map((m, d) => a * m + b[d]!);
  if (reward.kind === "linear") {
    const k = reward.k.map((value) => beta * value);
    const exponent = k.reduce((sum, value, d) => sum + value * M[d]! + (value * value * S) / 2, 0);
    return [{ mean: mean.map((m, d) => m + v * a * k[d]!), variance: v, logWeight: logWeight + exponent }];
  }
  return exponentials(reward, beta).map(({ logScale, kappa, center: z }) => {
    const lambda = kappa / (1 + kappa * c);
    const precision = 1 / v + lambda * a * a;
    const exponent =
      (-kappa / (1 + kappa * S)) * (squaredDistance(M, z) / 2) - (M.length / 2) * Math.log(1 + kappa * S);
    return {
      mean: mean.map((m, d) => (m / v + lambda * a * (z[d]! - b[d]!)) / precision),
      variance: 1 / precision,
      logWeight: logWeight + logScale + exponent,
    };
  });
}

/**
 * exp(β r(y)) as Σ_j s_j exp(−κ_j ‖y − z_j‖²/2): one term for a quadratic reward. For r = log Σ_j w_j N(z_j, t_j²) and other β than
 * 1, every component by itself raised to the power β, which is near as far as they do not overlap.
 */
function exponentials(reward: Exclude<ExactReward, { kind: "linear" }>, beta: number) {
  if (reward.kind === "quadratic") return [{ logScale: 0, kappa: beta / reward.tau ** 2, center: reward.center }];
  const { means, stds, weights } = reward.mixture;
  const D = dimensionOf(reward.mixture);
  return means.map((center, j) => {
    const variance = stds[j]! ** 2;
    const logScale = beta * (Math.log(weights[j]!) - (D / 2) * Math.log(2 * Math.PI * variance));
    return { logScale, kappa: beta / variance, center };
  });
}

/** log Σ_k exp(logWeight_k) N(x; m_k, v_k I), of which it adds value, gradient and curvature to a shape. */
class LogMixture {
  readonly #dimension: number;
  readonly #means: Float64Array; // [K, D]
  readonly #precisions: Float64Array;
  readonly #logNorms: Float64Array;
  readonly #squares: Float64Array; // scratch, [K]
  readonly #shares: Float64Array; // scratch, [K]

  constructor(components: readonly Component[]) {
    const D = components[0]!.mean.length;
    this.#dimension = D;
    this.#means = Float64Array.from(components.flatMap(({ mean }) => mean));
    this.#precisions = Float64Array.from(components, ({ variance }) => 1 / variance);
    this.#logNorms = Float64Array.from(components, ({ logWeight, variance }) => {
      return logWeight - (D / 2) * Math.log(2 * Math.PI * variance);
    });
    this.#squares = new Float64Array(components.length);
    this.#shares = new Float64Array(components.length);
  }

  /**
   * With shares ρ_k of the sum and u_k = (m_k − x)/v_k: ∇ = Σ_k ρ_k u_k,  tr ∇² = Σ_k ρ_k (‖u_k‖² − D/v_k) − ‖∇‖².
   */
  add(x: Float64Array, offset: number, shape: LocalShape, sign: 1 | -1): void {
    const D = this.#dimension;
    const [means, precisions, squares, shares] = [this.#means, this.#precisions, this.#squares, this.#shares];
    const K = shares.length;
    let top = -Infinity;
    for (let k = 0; k < K; k++) {
      let square = 0;
      for (let d = 0, m = k * D; d < D; d++, m++) square += (x[offset + d]! - means[m]!) ** 2;
      squares[k] = square;
      shares[k] = this.#logNorms[k]! - (square * precisions[k]!) / 2;
      if (shares[k]! > top) top = shares[k]!;
    }
    let total = 0;
    for (let k = 0; k < K; k++) total += Math.exp(shares[k]! - top);
    shape.value += sign * (top + Math.log(total));

    let trace = 0;
    for (let k = 0; k < K; k++) {
      shares[k] = (Math.exp(shares[k]! - top) / total) * precisions[k]!; // ρ_k/v_k
      trace += shares[k]! * (squares[k]! * precisions[k]! - D);
    }
    let squaredGradient = 0;
    for (let d = 0; d < D; d++) {
      let slope = 0;
      for (let k = 0; k < K; k++) slope += shares[k]! * (means[k * D + d]! - x[offset + d]!);
      squaredGradient += slope * slope;
      shape.gradient[d]! += sign * slope;
    }
    shape.curvature += (sign * (trace - squaredGradient)) / D;
  }
}
