import { z } from "zod";
import { clippedSurrogate } from "./clipped-surrogate.ts";
import { groupOptions } from "./groups.ts";
import { defineObjective } from "./objective.ts";

const options = z.strictObject({
  groupSize: groupOptions.groupSize.default(8),
  advantageStd: groupOptions.advantageStd.default("batch"),
  sharedNoise: groupOptions.sharedNoise.default(false),
  clip: z.number().positive().default(1e-4).describe("clip range of the ratio of element-mean likelihoods"),
  klWeight: z
    .number()
    .nonnegative()
    .default(0.04)
    .describe("weight of the distance to the pretrained kernels; 0 = none"),
});
type Options = z.output<typeof options>;

/**
 * Flow-GRPO: a policy gradient whose advantages compare G samples of one prompt, with a penalty on the path's distance to
 * the pretrained chain. With ρ = π_θ/π_old of element means:
 *   A = clip((r − mean_group r)/(std r + 1e-4), ±5)
 *   L = mean max(−A ρ, −A clip(ρ, 1 − c, 1 + c)) + β_KL mean ‖μ_θ − μ_#‖²/(2σ²)
 * The second part is KL(π_θ ‖ π_#) of a step per element; the authors' code leaves √Δt out of its σ, this does not. It has no
 * target law: advantages are normalised, and the penalty of a step does not look at the steps after it. DanceGRPO
 * [xue2025dancegrpo] is `klWeight: 0, sharedNoise: true, advantageStd: group`, here with all steps and the sampler's own noise.
 */
export const flowGrpo = defineObjective<Options>({
  kind: "flow-grpo",
  paper: "liu2025flowgrpo",
  aim: "held-maximum",
  summary: "policy gradient with advantages within groups of one prompt, held near the pretrained chain",
  options: options as z.ZodType<Options>,
  transitions: "all",
  needs: ({ klWeight }) => ["advantage", ...(klWeight > 0 ? (["reference"] as const) : [])],
  groups: ({ groupSize, sharedNoise, advantageStd }) => ({ size: groupSize, sharedNoise, advantageStd }),
  evaluations: ({ transitions }, { klWeight }) => ({ perUpdate: (klWeight > 0 ? 3 : 2) * transitions }),
  losses(batch, { clip, klWeight }) {
    const surrogate = clippedSurrogate(batch, clip);
    if (klWeight === 0) return { policy: { surrogate } };
    // ‖μ_θ − μ_#‖²/(2σ²) = σ²Δ²/2
    const kl = batch.delta.mul(batch.sigma).square().mean().mul(0.5);
    return { policy: { surrogate, kl: kl.mul(klWeight) } };
  },
});
