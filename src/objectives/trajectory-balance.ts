import { z } from "zod";
import { groupOptions } from "./groups.ts";
import { logRatio } from "./log-ratio.ts";
import { defineObjective } from "./objective.ts";

const options = z.strictObject({
  beta: z.number().nonnegative().default(1).describe("reward scale: the target is p_pre · exp(beta · r)"),
  groupSize: groupOptions.groupSize.default(8),
});
type Options = z.output<typeof options>;

/**
 * Trajectory balance in log-variance form. With S = Σ_i log π_θ/π_#(x_{i+1} | x_i) − β r(x_T) of a trajectory,
 *   L = mean (S − mean of S over the trajectories of its prompt)²
 * which is 0 when S is one number per prompt, −log Z: then x_T ~ p_pre exp(β r)/Z. The mean stands for the log Z that
 * trajectory balance learns [malkin2022trajectory], and gradients flow through it [richter2020vargrad]. Log-ratios are sums
 * over elements. Zeroth order: any reward fits, and no network besides the policy is trained. All samples are stopped, so
 * that trajectories of an older policy are as good.
 */
export const trajectoryBalance = defineObjective<Options>({
  kind: "trajectory-balance",
  paper: "malkin2022trajectory",
  aim: "tilted-prior",
  summary: "samples from p_pre · exp(β r) by making log π_θ/π_# − β r of whole trajectories equal; any reward",
  options: options as z.ZodType<Options>,
  transitions: "all",
  needs: () => ["reference", "memoryless-chain"],
  groups: ({ groupSize }) => ({ size: groupSize, comparedInLoss: true }),
  evaluations: ({ transitions }) => ({ perUpdate: 3 * transitions }),
  losses(batch, { beta }) {
    // Each trajectory has its value on all its T rows, so that means over rows are means over trajectories.
    const S = batch.trajectorySum(logRatio(batch)).sub(batch.reward.mul(beta));
    return { policy: { variance: S.sub(batch.promptMean(S)).square().mean() } };
  },
});
