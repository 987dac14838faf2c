import type { z } from "zod";
import { balanceEvaluations, balanceNeeds, balanceOptions, balanceTerms } from "./detailed-balance.ts";
import { defineObjective } from "./objective.ts";
import { proximal, proximalLoss, proximalRefusal } from "./proximal.ts";

const options = balanceOptions.extend({ proximal });
type Options = z.output<typeof options>;

/**
 * DAG-DB: detailed balance against the noising kernel. With log F_i(x) = γ_i β r(x̂_#(x)) + f_φ(x), log F_T = β r:
 *   L = mean (log F_i(x_i) + log π_θ(x_{i+1} | x_i) − log P_B(x_i | x_{i+1}) − log F_{i+1}(x_{i+1}))² + λ mean (out_θ − out_old)²
 * Its target is R^β = exp(β r), whatever the pretrained model: the prior counts only as the point where training starts. So
 * exp(β r) must have a finite integral, which a bounded or a linear reward does not give. f_φ has to keep ahead of the policy,
 * which otherwise climbs its errors: on the ring of eight the loss grows without bound at equal rates and falls with an
 * `optimizer.lr` of a seventh of `flowOptimizer.lr`.
 * Differs from the authors' code: log-densities are sums over elements, not means, which would scale β; x̂ is the guided
 * frozen network's (docs/methods.md B.3–B.6); β is not annealed; λ is 0 by default, because with one update per rollout it
 * has no effect.
 */
export const dagDb = defineObjective<Options>({
  kind: "dag-db",
  paper: "zhang2024dag",
  aim: "reward-alone",
  summary: "detailed balance against the noising kernel: samples from exp(β r), the prior is only the start",
  options: options as z.ZodType<Options>,
  transitions: "all",
  refuseReuse: proximalRefusal,
  needs: ({ proximal, ...o }) => [...balanceNeeds(o), ...(proximal > 0 ? (["old-output"] as const) : [])],
  evaluations: balanceEvaluations,
  losses(batch, { proximal, ...o }) {
    const { flow, forward, backward, flowNext } = balanceTerms(batch, o);
    const balance = forward.add(flow).sub(backward).sub(flowNext).square().mean();
    const pull = proximal > 0 && { proximal: proximalLoss(batch, proximal) };
    return { policy: { balance, ...pull }, flow: { balance } };
  },
});
