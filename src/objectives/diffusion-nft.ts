import { z } from "zod";
import type { Tensor } from "../tensor/index.ts";
import { groupOptions } from "./groups.ts";
import { defineObjective } from "./objective.ts";

const options = z.strictObject({
  groupSize: groupOptions.groupSize.default(8),
  advantageStd: groupOptions.advantageStd.default("batch"),
  times: z
    .int()
    .positive()
    .default(6)
    .describe("noise levels per trajectory, each uniform over the steps of the chain"),
  mixing: z.number().positive().max(1).default(1).describe("b: the part of v_θ in v⁺ = b v_θ + (1 − b) v_old"),
  klWeight: z
    .number()
    .nonnegative()
    .default(1e-4)
    .describe("weight of the distance to the pretrained output; 0 = none"),
  decayRate: z.number().nonnegative().default(1e-3).describe("decay of the old policy per update done"),
  decayLimit: z.number().min(0).lt(1).default(0.5).describe("largest decay of the old policy; 0 = always the policy"),
});
type Options = z.output<typeof options>;

/** Advantages are clipped to ±5. */
const limit = 5;

/**
 * DiffusionNFT: good samples attract and bad ones repel the prediction, on the forward process. An old policy, which follows
 * the policy slowly, draws x_T; with fresh noise x_t = √ᾱ x_T + √(1 − ᾱ) z, b the mixing, and predictions linear in v:
 *   x̂⁺ = b x̂_θ + (1 − b) x̂_old,   x̂⁻ = (1 + b) x̂_old − b x̂_θ,   ρ = A/10 + ½,   w^± = mean |x̂^± − x_T|, detached
 *   L = (5/b) mean [ρ ‖x̂⁺ − x_T‖²/w⁺ + (1 − ρ) ‖x̂⁻ − x_T‖²/w⁻] + β_KL mean ‖out_θ − out_#‖²
 *   old ← d·old + (1 − d)·θ before each rollout,   d = min(decayRate · updates, decayLimit)
 * with A = clip((r − mean_group r)/(std r + 1e-4), ±5). Needs no likelihood, no gradient of the reward and no noise in the
 * sampler: any chain and any reward fit. It has no target law. Trains the policy alone. Network evaluations per trajectory:
 * T forward for the rollout; for each of its times one forward of θ, of old and of # and one backward.
 * Differs from the authors' code: guidance, where it is on, is part of every output here; they train without.
 */
export const diffusionNft = defineObjective<Options>({
  kind: "diffusion-nft",
  paper: "zheng2026nft",
  aim: "highest-reward",
  summary: "good samples attract and bad ones repel the denoiser; any reward, any sampler, no likelihoods",
  options: options as z.ZodType<Options>,
  transitions: (T, { times }) => ({ count: times, from: 0, below: T }),
  chain: "any",
  needs: ({ klWeight }) => ["advantage", ...(klWeight > 0 ? (["reference"] as const) : [])],
  groups: ({ groupSize, advantageStd }) => ({ size: groupSize, advantageStd }),
  oldPolicy: ({ decayRate, decayLimit }) => ({ decay: (updates) => Math.min(decayRate * updates, decayLimit) }),
  evaluations: ({ transitions }, { klWeight }) => ({ perUpdate: (klWeight > 0 ? 4 : 3) * transitions }),
  losses({ state, end, noiseLevel, noise, advantage }, { mixing: b, klWeight }) {
    const at = state.at(end.mul(state.signal).add(noise.mul(noiseLevel)));
    const x0HatOld = at.old.x0Hat.stopGradient();
    const step = at.policy.x0Hat.sub(x0HatOld).mul(b);
    const rho = advantage.div(2 * limit).add(0.5); // [B]
    const attraction = rho.mul(relativeSquare(x0HatOld.add(step).sub(end)));
    const repulsion = rho
      .neg()
      .add(1)
      .mul(relativeSquare(x0HatOld.sub(step).sub(end)));
    const policy: Record<string, Tensor> = {
      contrast: attraction
        .add(repulsion)
        .mean()
        .mul(limit / b),
    };
    if (klWeight > 0) policy.kl = at.policy.out.sub(at.reference.out).square().mean().mul(klWeight);
    return { policy };
  },
});

/** mean e² over mean |e|, the latter detached and at least 1e-5, per sample. [B] */
function relativeSquare(error: Tensor): Tensor {
  const axes = error.shape.map((_, axis) => axis).slice(1);
  return error.square().mean(axes).div(error.abs().mean(axes).maximum(1e-5).stopGradient());
}
