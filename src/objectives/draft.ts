import { z } from "zod";
import { defineObjective } from "./objective.ts";

const options = z.strictObject({
  lastSteps: z
    .union([z.int().positive(), z.enum(["all", "random"])])
    .default(1)
    .describe("steps at the end of the chain that the gradient goes through; random = 1 to T, drawn per trajectory"),
});
type Options = z.output<typeof options>;

/**
 * DRaFT: the reward's gradient through the sampler itself. With the noise z of a rollout held fixed,
 *   x_{k+1} = μ_θ(x_k) + σ_k z_k,    L = −mean r(x_T),
 * where the gradient stops at x_{T−K}: K = `lastSteps`, all T, or random as in AlignProp [prabhudesai2023alignprop].
 * Trains the policy alone and has no prior term: it maximises the reward. Network evaluations per trajectory: T forward for
 * the rollout; K forward and K backward for the update, and K forward more for K > 1, since only one step's activations
 * are kept at a time. `random` costs what `all` costs: one program serves every K.
 * Differs from AlignProp: K is uniform on 1 … T and each trajectory has its own; the loss is −r, not a distance to a goal.
 */
export const draft = defineObjective<Options>({
  kind: "draft",
  paper: "clark2024draft",
  aim: "highest-reward",
  summary: "reward gradient through the last steps of the sampler; maximises the reward and forgets the prior",
  options: options as z.ZodType<Options>,
  transitions: (T, { lastSteps }) => {
    if (lastSteps === "random") return { count: 1, from: 0, below: T };
    const from = lastSteps === "all" ? 0 : T - lastSteps;
    return { count: 1, from, below: from + 1 };
  },
  needs: () => ["reward-gradient"],
  chain: "any",
  evaluations: ({ T }, { lastSteps }) => {
    const steps = typeof lastSteps === "number" ? lastSteps : T;
    return { perUpdate: (steps > 1 ? 3 : 2) * steps };
  },
  losses: ({ path, rewardOf }) => ({ policy: { reward: rewardOf(path.end).mean().neg() } }),
});
