import type { Tensor } from "../tensor/index.ts";
import { type Attenuation, gammaOf } from "./attenuation.ts";
import type { TransitionState } from "./objective.ts";

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
  const predicted = state.predictedReward(state.reference.x0Hat).mul(inside).mul(beta);
  return predicted
    .mul(gammaOf(perSample(state.share), attenuation))
    .add(flow)
    .add(atEnd);
}
