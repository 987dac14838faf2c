import type { Tensor } from "../tensor/index.ts";
import type { TransitionBatch } from "./objective.ts";

/** PPO's surrogate, mean max(−A ρ, −A clip(ρ, 1 − c, 1 + c)) with ρ = π_θ/π_old of element-mean likelihoods. [] */
export function clippedSurrogate(
  { advantage, logProb, oldLogProb }: Pick<TransitionBatch, "advantage" | "logProb" | "oldLogProb">,
  clip: number,
): Tensor {
  const ratio = logProb.sub(oldLogProb).exp();
  const within = ratio.maximum(1 - clip).minimum(1 + clip);
  return advantage.mul(ratio).neg().maximum(advantage.mul(within).neg()).mean();
}
