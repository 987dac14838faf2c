import { z } from "zod";
import type { Tensor } from "../tensor/index.ts";
import { defineObjective } from "./objective.ts";

const options = z.strictObject({
  beta: z.number().nonnegative().default(1).describe("reward scale: the target is p_pre · exp(beta · r)"),
  initialLaw: z
    .enum(["fixed", "learned"])
    .default("fixed")
    .describe(
      "the law of x_0: fixed, N(0, I), or learned first, for a chain that does not forget its start (exact worlds)",
    ),
});
type Options = z.output<typeof options>;

/**
 * KL-regularised control, by the gradient of the whole path. With the noise z of a rollout held fixed,
 *   x_{k+1} = μ_θ(x_k) + σ_k z_k,    L = mean( Σ_k ‖μ_θ(x_k) − μ_#(x_k)‖²/(2σ_k²) − β r(x_T) ):
 * the first sum is KL(path_θ ‖ path_#), so that the best policy samples from p_pre · exp(β r) on a chain whose end forgets
 * its start. It is the last stage of ELEGANT with β = 1/α. On a chain that does not, x_0 has to follow N(0, I) exp(V(x_0)),
 * V = log E_#[exp(β r) | x_0]: `initialLaw: learned` learns V and that law first, the other two stages, and then starts from it;
 * KL(path_θ ‖ path_#) then has a part of x_0 too, which θ does not change. Trains the policy alone. Network evaluations per
 * trajectory: T forward for the rollout; for the update 2T forward and 2T backward, those of the frozen network by its input
 * only, and 2T forward more, since only one step's activations are kept at a time.
 */
export const klControl = defineObjective<Options>({
  kind: "kl-control",
  paper: "uehara2024elegant",
  aim: "tilted-prior",
  summary: "samples from p_pre · exp(β r) by the reward gradient through the whole sampler, held near the prior",
  options: options as z.ZodType<Options>,
  transitions: () => ({ count: 1, from: 0, below: 1 }),
  needs: ({ initialLaw }) => [
    "reference",
    "reward-gradient",
    ...(initialLaw === "fixed" ? (["memoryless-chain"] as const) : []),
  ],
  initialLaw: ({ initialLaw, beta }) => (initialLaw === "learned" ? { beta } : undefined),
  evaluations: ({ T }) => ({ perUpdate: 6 * T }),
  losses({ path, rewardOf }, { beta }) {
    // ‖μ_θ − μ_#‖²/(2σ²) = ‖σΔ‖²/2, summed over elements
    const kl = path.steps.map(({ delta, sigma }) => perSampleSum(delta.mul(sigma).square()).mul(0.5));
    return {
      policy: {
        kl: kl.reduce((sum, step) => sum.add(step)).mean(),
        reward: rewardOf(path.end).mean().mul(-beta),
      },
    };
  },
});

/** [B, …shape] → [B] */
const perSampleSum = (x: Tensor): Tensor => x.sum(x.shape.map((_, axis) => axis).slice(1));
