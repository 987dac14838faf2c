import { z } from "zod";
import { defineObjective } from "./objective.ts";

const options = z.strictObject({
  renoisings: z.int().positive().default(2).describe("fresh x_{T−1} per sampled x_T, over which the loss is averaged"),
});
type Options = z.output<typeof options>;

/**
 * DRaFT-LV: DRaFT-1 with less variance. A sample x_T, without gradient, is noised n times and denoised in one step:
 *   x⁽ʲ⁾ ~ P_B(x_{T−1} | x_T) = N(a x_T, s² I),    L = −(1/n) Σ_j r(x̂_θ(x⁽ʲ⁾)).
 * Trains the policy alone and has no prior term: it maximises the reward. Network evaluations per trajectory: T forward for
 * the rollout, n forward and n backward for the update, and as many evaluations of the reward.
 * Differs from the paper: its x_T is taken for noiseless; here the noise that x_T still has counts, a = √(ᾱ/ᾱ').
 */
export const draftLv = defineObjective<Options>({
  kind: "draft-lv",
  paper: "clark2024draft",
  aim: "highest-reward",
  summary:
    "reward gradient through the last step from several fresh noises; maximises the reward and forgets the prior",
  options: options as z.ZodType<Options>,
  transitions: (T, { renoisings }) => ({ count: renoisings, from: T - 1, below: T }),
  needs: () => ["reward-gradient"],
  chain: "any",
  evaluations: ({ transitions }) => ({ perUpdate: 2 * transitions }),
  losses({ state, next, noising, noise, rewardOf }) {
    const noised = next.x.mul(noising.scale).add(noise.mul(noising.std));
    return { policy: { reward: rewardOf(state.at(noised).policy.x0Hat).mean().neg() } };
  },
});
