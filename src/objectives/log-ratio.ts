import type { Tensor } from "../tensor/index.ts";
import type { TransitionBatch } from "./objective.ts";

/**
 * log π_θ(x'|x) − log π_#(x'|x), summed over elements: Σ Δ (x' − μ_#) − σ²Δ²/2 with Δ = (μ_θ − μ_#)/σ². Two log-densities
 * that share σ differ by this exactly, and subtracting them would lose it in rounding. [B]
 */
export function logRatio({ delta, sigma, state, next }: TransitionBatch): Tensor {
  const axes = delta.shape.map((_, i) => i).slice(1);
  const noise = next.x.sub(state.reference.mean);
  return delta.mul(noise).sub(delta.mul(sigma).square().mul(0.5)).sum(axes);
}
