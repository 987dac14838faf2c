import { z } from "zod";
import type { Tensor } from "../tensor/index.ts";
import { attenuation, gammaOf } from "./attenuation.ts";
import { defineObjective, type TransitionState } from "./objective.ts";

const options = z.strictObject({
  beta: z
    .number()
    .nonnegative()
    .default(1)
    .describe("reward scale: 1/β weighs the control's square against the reward"),
  attenuation: attenuation.describe("gamma of the predicted reward gradient: a², a, 1, 0 with a = √ᾱ (flows: 1 − t)"),
});
type Options = z.output<typeof options>;

/**
 * VGG-Flow: control of a chain without noise. Of all drifts u added to the pretrained ODE it looks for the one that is least in
 *   ∫ ‖u‖²/(2β) dτ − r(x_T),   whose answer is u = −β ∇V(x, τ),  V the cost to go.
 * h = −∇V = γ ∇r(x̂_#(x)) + g_φ(x), ∇r as it is at x̂, without the network's Jacobian; h(x_T) = ∇r(x_T). τ is √ᾱ (flows: 1 − t),
 * so that with the step μ of the chain, Δτ = τ' − τ and x' = μ_θ(x):
 *   matching     L = mean ‖(μ_θ(x) − μ_#(x))/Δτ − β sg h(x)‖²      trains θ;  for flows the bracket is −(v_θ − v_#)
 *   consistency  L = mean ‖h(x) − J_#(x)ᵀ sg h(x')‖²               trains φ
 * Consistency is the gradient of the HJB equation along the controlled path, ∂_τ h + (∇h) u + (∇h) v_# + (∇v_#)ᵀ h = 0, over one
 * step of the chain: the path's derivative of h is its difference over that step, (∇v_#)ᵀ h an exact vector-Jacobian product.
 * Not a sampler of a target law: each starting noise is moved to one better place. Network evaluations per transition:
 * policy forward and backward at x, frozen forward at x and x' and one input backward, flow twice forward and once backward.
 * Differs from the paper: h(x') is stopped; x̂ is the frozen network's; h(x_T) is exact, which stands for a terminal loss;
 * ∇r has no largest norm; for diffusion models the ODE is DDIM's, whose time is taken to be √ᾱ.
 */
export const vggFlow = defineObjective<Options>({
  kind: "vgg-flow",
  paper: "liu2025vgg",
  aim: "held-maximum",
  summary: "optimal control of a sampler without noise by matching value gradients; no target law",
  options: options as z.ZodType<Options>,
  transitions: "strata",
  chain: "deterministic",
  needs: () => ["reference", "reward-gradient", "flow"],
  evaluations: ({ transitions }) => ({ perUpdate: 5 * transitions - 1 }),
  losses({ state, next }, o) {
    const { policy, reference } = state;
    const h = valueGradient(state, o);
    const control = policy.mean.sub(reference.mean).div(next.signal.sub(state.signal));
    const carried = reference.pullBack({ mean: valueGradient(next, o) }).stopGradient();
    return {
      policy: { matching: control.sub(h.mul(o.beta).stopGradient()).square().mean() },
      flow: { consistency: h.sub(carried).square().mean() },
    };
  },
});

/** h(x), minus the gradient of the cost to go. */
function valueGradient(state: TransitionState, { attenuation }: Options): Tensor {
  const { signal, inside, reference, flow } = state;
  const believed = gammaOf(signal, attenuation).mul(inside).add(inside.neg().add(1));
  return state.rewardGradient(reference.x0Hat).mul(believed).add(flow.mul(inside));
}
