import { z } from "zod";
import { clippedSurrogate } from "./clipped-surrogate.ts";
import { defineObjective } from "./objective.ts";

const options = z.strictObject({
  estimator: z
    .enum(["score-function", "importance-sampling"])
    .default("importance-sampling")
    .describe("REINFORCE, or PPO's clipped ratio, which allows several updates per rollout"),
  clip: z.number().positive().default(1e-4).describe("clip range of the ratio of element-mean likelihoods"),
});
type Options = z.output<typeof options>;

/**
 * DDPO: maximises E[r(x_T)], no prior. Log-probabilities are means over elements.
 *   score function: L = −A log π_θ(x_{i+1} | x_i)
 *   importance:     L = max(−A ρ, −A clip(ρ, 1 − c, 1 + c)),  ρ = π_θ/π_old
 */
export const ddpo = defineObjective<Options>({
  kind: "ddpo",
  paper: "black2024ddpo",
  aim: "highest-reward",
  summary: "policy gradient on the denoising chain; maximises the reward and forgets the prior",
  options: options as z.ZodType<Options>,
  transitions: "all",
  needs: () => ["advantage"],
  refuseReuse: (updatesPerRollout, { estimator }) =>
    estimator === "score-function" && updatesPerRollout > 1
      ? `the score-function estimator is right for samples of the current policy only, but train.updatesPerRollout is ${updatesPerRollout}. Set that to 1, or objective.estimator to importance-sampling.`
      : undefined,
  evaluations: ({ transitions }) => ({ perUpdate: 2 * transitions }),
  losses(batch, { estimator, clip }) {
    const surrogate =
      estimator === "score-function" ? batch.advantage.mul(batch.logProb).mean().neg() : clippedSurrogate(batch, clip);
    return { policy: { surrogate } };
  },
});
