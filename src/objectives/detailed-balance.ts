import { gaussian } from "../diffusion/index.ts";
import type { Tensor } from "../tensor/index.ts";
import { logFlow } from "./log-flow.ts";
import type { TransitionBatch } from "./objective.ts";

/** What stands in log F_i + log π_θ(x' | x) = log P_B(x | x') + log F_{i+1}. [B] each */
export interface BalanceTerms {
  flow: Tensor;
  forward: Tensor;
  backward: Tensor;
  flowNext: Tensor;
}

/** Detailed balance against the noising kernel P_B, with log F_i = β r(x̂_#) + f_φ and log F_T = β r: its target is exp(β r). */
export function balanceTerms({ state, next, sigma, noising, reward }: TransitionBatch, beta: number): BalanceTerms {
  return {
    flow: logFlow(state, reward, { beta, attenuation: "none" }),
    forward: gaussian.logProb(next.x, state.policy.mean, sigma),
    backward: gaussian.logProb(state.x, next.x.mul(noising.scale), noising.std),
    flowNext: logFlow(next, reward, { beta, attenuation: "none" }),
  };
}
