import type { Chain, Prediction } from "../diffusion/index.ts";
import type { Mixture } from "../models/mixture.ts";
import type { Forecast } from "../models/twist.ts";

/**
 * What the T-step chain makes of a state x_i of each component, for data of that component alone: there the exact network is
 * linear in x, so that every step is x' = A x + B m_k + σ z and x_T given x_i is Gaussian:
 *
 *     a_i = a_{i+1} A_i,  b_i = b_{i+1} + a_{i+1} B_i,  c_i = c_{i+1} + a_{i+1}² σ_i²;   a_T = 1, b_T = c_T = 0.
 *
 * forecasts[i][k]: N(a x + b m_k, c). Without guidance.
 */
export function chainForecasts({ steps, prediction }: Chain, { means, stds }: Mixture): Forecast[][] {
  const perComponent = means.map((mean, k) => {
    let [a, b, c] = [1, 0, 0];
    const forecast = (): Forecast => ({ slope: a, shift: mean.map((m) => b * m), variance: c });
    const backwards = [forecast()];
    for (const { d1, d2, sigma, alphaBar, noise } of [...steps].reverse()) {
      const out = linearOutput(prediction, Math.sqrt(alphaBar), noise, stds[k]! ** 2);
      c += (a * sigma) ** 2;
      b += a * d2 * out.mean;
      a *= d1 + d2 * out.x;
      backwards.push(forecast());
    }
    return backwards.reverse();
  });
  return Array.from({ length: steps.length + 1 }, (_, i) => perComponent.map((forecasts) => forecasts[i]!));
}

/**
 * The network's output of one component N(m, s² I) as X·x + MEAN·m: with signal α, noise σ and u = (x − α m)/(α² s² + σ²)
 * ε = σ u and x̂ = m + α s² u.
 */
function linearOutput(prediction: Prediction, signal: number, noise: number, s2: number): { x: number; mean: number } {
  const variance = signal * signal * s2 + noise * noise;
  const eps = { x: noise / variance, mean: (-noise * signal) / variance };
  const x0Hat = { x: (signal * s2) / variance, mean: 1 - (signal * signal * s2) / variance };
  switch (prediction) {
    case "epsilon":
      return eps;
    case "sample":
      return x0Hat;
    case "v_prediction": // α ε − σ x̂
      return { x: signal * eps.x - noise * x0Hat.x, mean: signal * eps.mean - noise * x0Hat.mean };
    case "velocity": // ε − x̂
      return { x: eps.x - x0Hat.x, mean: eps.mean - x0Hat.mean };
  }
}
