import { z } from "zod";
import { defineObjective } from "./objective.ts";

const options = z.strictObject({
  late: z.number().positive().max(1).default(0.25).describe("part of the chain, at its end, that x_m is drawn from"),
  threshold: z
    .number()
    .nullable()
    .default(2)
    .describe("rewards above it are good enough and have no gradient; null = no such limit"),
  weight: z.number().positive().default(1e-3).describe("factor of the loss; clipping makes its size matter"),
});
type Options = z.output<typeof options>;

/**
 * ReFL: the reward of the clean prediction at one late step, differentiated through that one evaluation of the network.
 * With m uniform over the last part of the chain and x_m from a rollout, without gradient:
 *   L = c mean relu(b − r(x̂_θ(x_m))),    and with threshold null  L = −c mean r(x̂_θ(x_m))
 * Trains the policy alone and has no prior term: it maximises the reward. Network evaluations per trajectory: T forward for
 * the rollout, one forward and one backward for the update.
 * Differs from the paper: there is no denoising loss on other data beside it, and each trajectory has its own m.
 */
export const refl = defineObjective<Options>({
  kind: "refl",
  paper: "xu2023imagereward",
  aim: "highest-reward",
  summary: "reward gradient through the clean prediction at one late step; maximises the reward and forgets the prior",
  options: options as z.ZodType<Options>,
  transitions: (T, { late }) => ({ count: 1, from: T - Math.max(1, Math.round(late * T)), below: T }),
  needs: () => ["reward-gradient"],
  chain: "any",
  evaluations: () => ({ perUpdate: 2 }),
  losses({ state, rewardOf }, { threshold, weight }) {
    const r = rewardOf(state.policy.x0Hat); // [B]
    const shortfall = threshold === null ? r.neg() : r.neg().add(threshold).relu();
    return { policy: { reward: shortfall.mean().mul(weight) } };
  },
});
