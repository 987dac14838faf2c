import { z } from "zod";
import { defineObjective } from "./objective.ts";
import { weightedSquare } from "./weighted-residual.ts";

const options = z.strictObject({
  beta: z.number().nonnegative().default(1).describe("reward scale: the target is p_pre · exp(beta · r)"),
});
type Options = z.output<typeof options>;

/**
 * Adjoint matching, lean and discrete. Along each sampled trajectory the frozen model carries the reward's gradient back:
 *   ã_T = β∇r(x_T),   ã_i = J_#(x_i)ᵀ ã_{i+1},   J_# = ∂μ_#/∂x
 *   L = mean ‖σ (Δ_θ(x_i) − sg ã_{i+1})‖²,       Δ_θ = (μ_θ − μ_#)/σ²
 * One vector-Jacobian product of the frozen network per step, one reward gradient per trajectory, no flow network.
 * Differs from the paper: J_# and Δ are those of the guided network, because that is the one which is sampled; transitions
 * are one per stratum and the last; no trajectory is dropped for its large loss.
 */
export const adjointMatching = defineObjective<Options>({
  kind: "adjoint-matching",
  paper: "domingo2025adjoint",
  aim: "tilted-prior",
  summary: "samples from p_pre · exp(β r) by carrying ∇r back along whole trajectories; no flow network",
  options: options as z.ZodType<Options>,
  transitions: "strata",
  needs: () => ["reference", "reward-gradient", "memoryless-chain"],
  evaluations: ({ T, transitions }) => ({ perRollout: 2 * T, perUpdate: 2 * transitions }),
  // λ = 1 reads the value at x_T alone, where it is β∇r
  returns: ({ beta }) => ({ lambda: 1, value: (state) => state.rewardGradient(state.x).mul(beta) }),
  losses({ delta, sigma, returns }) {
    const residual = delta.sub(returns.next.stopGradient());
    return { policy: { adjoint: weightedSquare(residual, sigma, "sigma") } };
  },
});
