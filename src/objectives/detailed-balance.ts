import { z } from "zod";
import { gaussian } from "../diffusion/index.ts";
import type { Tensor } from "../tensor/index.ts";
import { attenuation } from "./attenuation.ts";
import { logFlow } from "./log-flow.ts";
import type { Evaluations, Need, TransitionBatch, UpdateShape } from "./objective.ts";

/** What stands in log F_i + log π_θ(x' | x) = log P_B(x | x') + log F_{i+1}. [B] each */
export interface BalanceTerms {
  flow: Tensor;
  forward: Tensor;
  backward: Tensor;
  flowNext: Tensor;
}

/** Options of objectives that balance flows against the noising kernel. */
export const balanceOptions = z.strictObject({
  beta: z.number().nonnegative().default(1).describe("reward scale: the target is exp(beta · r), without the prior"),
  attenuation: attenuation
    .unwrap()
    .default("none")
    .describe("gamma of the predicted reward: a², a, 1, 0 with a = √ᾱ; none is the paper's, zero takes any reward"),
});
type BalanceOptions = z.output<typeof balanceOptions>;

/** r(x̂) is computed in the graph: with γ = 0 it is not, and a reward on the host will do. */
export const balanceNeeds = ({ attenuation }: BalanceOptions): readonly Need[] => [
  ...(attenuation === "zero" ? [] : (["reference", "reward-gradient"] as const)),
  "flow",
  "memoryless-chain",
];

/** θ for the parameters and # for x̂ at both ends, of which the last predicts nothing; with γ = 0 # is not asked. */
export const balanceEvaluations = ({ transitions }: UpdateShape, { attenuation }: BalanceOptions): Evaluations => ({
  perUpdate: attenuation === "zero" ? 2 * transitions : 4 * transitions - 1,
});

/** Detailed balance against the noising kernel P_B, with log F_i = γ_i β r(x̂_#) + f_φ and log F_T = β r: its target is exp(β r). */
export function balanceTerms(
  { state, next, sigma, noising, reward }: TransitionBatch,
  options: BalanceOptions,
): BalanceTerms {
  return {
    flow: logFlow(state, reward, options),
    forward: gaussian.logProb(next.x, state.policy.mean, sigma),
    backward: gaussian.logProb(state.x, next.x.mul(noising.scale), noising.std),
    flowNext: logFlow(next, reward, options),
  };
}
