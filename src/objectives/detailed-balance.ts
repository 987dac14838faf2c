import { gaussian } from "../diffusion/index.ts";
import type { Tensor } from "../tensor/index.ts";
import type { Attenuation } from "./attenuation.ts";
import { logFlow } from "./log-flow.ts";
import type { Evaluations, TransitionBatch, UpdateShape } from "./objective.ts";

/** What stands in log F_i + log π_θ(x' | x) = log P_B(x | x') + log F_{i+1}. [B] each */
export interface BalanceTerms {
  flow: Tensor;
  forward: Tensor;
  backward: Tensor;
  flowNext: Tensor;
}

/** θ for the parameters and # for x̂ at both ends, of which the last predicts nothing; with γ = 0 # is not asked. */
export const balanceEvaluations = (
  { transitions }: UpdateShape,
  { attenuation }: { attenuation: Attenuation },
): Evaluations => ({ perUpdate: attenuation === "zero" ? 2 * transitions : 4 * transitions - 1 });

/** Detailed balance against the noising kernel P_B, with log F_i = γ_i β r(x̂_#) + f_φ and log F_T = β r: its target is exp(β r). */
export function balanceTerms(
  { state, next, sigma, noising, reward }: TransitionBatch,
  options: { beta: number; attenuation: Attenuation },
): BalanceTerms {
  return {
    flow: logFlow(state, reward, options),
    forward: gaussian.logProb(next.x, state.policy.mean, sigma),
    backward: gaussian.logProb(state.x, next.x.mul(noising.scale), noising.std),
    flowNext: logFlow(next, reward, options),
  };
}
