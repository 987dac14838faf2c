import type { Tensor } from "../tensor/index.ts";
import type { TransitionState } from "./objective.ts";

/** γ of the predicted reward by name: a², a, 1, 0 with a = √ᾱ (flows: 1 − t). */
export type Attenuation = "squared" | "linear" | "none" | "zero";

/**
 * log F at one end: γ β r(x̂_#) + f_φ inside the chain, β r(x_T) at its end, where r is the trajectory's own reward. [B]
 */
export function logFlow(
  state: TransitionState,
  reward: Tensor,
  { beta, attenuation }: { beta: number; attenuation: Attenuation },
): Tensor {
  const perSample = (column: Tensor) => column.reshape([column.shape[0]!]);
  const inside = perSample(state.inside);
  const atEnd = inside.neg().add(1).mul(reward).mul(beta);
  const flow = state.flowMean.mul(inside);
  if (attenuation === "zero") return flow.add(atEnd);
  const signal = perSample(state.signal);
  const predicted = state.predictedReward(state.reference.x0Hat).mul(inside).mul(beta);
  const gamma = { squared: signal.square(), linear: signal, none: undefined }[attenuation];
  return (gamma ? predicted.mul(gamma) : predicted).add(flow).add(atEnd);
}
