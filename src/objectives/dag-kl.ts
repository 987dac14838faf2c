import { z } from "zod";
import { ConfigError } from "../core/errors.ts";
import type { Tensor } from "../tensor/index.ts";
import { clippedSurrogate } from "./clipped-surrogate.ts";
import { balanceEvaluations, balanceNeeds, balanceOptions, balanceTerms } from "./detailed-balance.ts";
import { defineObjective } from "./objective.ts";

const options = balanceOptions.extend({
  clip: z.number().positive().default(1e-4).describe("clip range of the ratio of element-mean likelihoods"),
});
type Options = z.output<typeof options>;

/**
 * DAG-KL: the policy climbs the residual of detailed balance by REINFORCE, the flow network regresses it away. With
 * log F_i(x) = γ_i β r(x̂_#(x)) + f_φ(x), log F_T = β r, and P_B the noising kernel:
 *   δ  = log F_{i+1}(x') + log P_B(x | x') − log π_θ(x' | x) − log F_i(x),   detached
 *   A  = clip((δ − mean δ of the others)/(std of the others + 1e-8), ±5)      within the batch of transitions
 *   L  = mean max(−A ρ, −A clip(ρ, 1 − c, 1 + c)),  ρ = π_θ/π_old             trains θ
 *   L_F = mean δ²  with log π_θ held fixed                                    trains φ
 * E[δ] is −KL(π_θ F_i ‖ P_B F_{i+1}) up to log-scales, whence the name. The target is R^β = exp(β r), as for dag-db: the prior
 * counts only as the point where training starts, and f_φ has to keep ahead of the policy: on the ring of eight it diverges at
 * equal rates and arrives with an `optimizer.lr` of a seventh of `flowOptimizer.lr`. Cost: one forward and backward of the policy, two forwards of the frozen
 * network and two rewards per transition, all T of them.
 * Differs from the authors' code: log-densities in δ are sums over elements, which leaves β what it says; ratios are of
 * element means, as there. x̂ is the guided frozen network's, β is not annealed, and there is no pull to the old output.
 */
export const dagKl = defineObjective<Options>({
  kind: "dag-kl",
  paper: "zhang2024dag",
  aim: "reward-alone",
  summary: "policy gradient on the residual of detailed balance: samples from exp(β r), the prior is only the start",
  options: options as z.ZodType<Options>,
  transitions: "all",
  needs: balanceNeeds,
  evaluations: balanceEvaluations,
  losses(batch, { clip, ...o }) {
    const { logProb, oldLogProb } = batch;
    const { flow, forward, backward, flowNext } = balanceTerms(batch, o);
    const delta = flowNext.add(backward).sub(forward.stopGradient()).sub(flow);
    const advantage = relativeToOthers(delta.stopGradient());
    return {
      policy: { surrogate: clippedSurrogate({ advantage, logProb, oldLogProb }, clip) },
      flow: { balance: delta.square().mean() },
    };
  },
});

/** clip((δ_b − m_b)/(s_b + 1e-8), ±5), where m_b and s_b are taken over the other rows. [B] */
function relativeToOthers(delta: Tensor): Tensor {
  const [B] = delta.shape as [number];
  if (B < 2) {
    throw new ConfigError(
      "dag-kl compares the transitions of a batch with each other, but train.accumulate makes parts of one. Set it to a smaller number.",
    );
  }
  const ofOthers = (values: Tensor) =>
    values
      .sum()
      .sub(values)
      .div(B - 1);
  const centred = delta.sub(ofOthers(delta));
  const spread = ofOthers(centred.square()).sqrt().add(1e-8);
  return centred.div(spread).minimum(5).maximum(-5);
}
