import { z } from "zod";
import type { Tensor } from "../tensor/index.ts";
import { attenuation, gammaOf } from "./attenuation.ts";
import { defineObjective, type TransitionBatch, type TransitionState } from "./objective.ts";
import { weightedSquare } from "./weighted-residual.ts";

const options = z.strictObject({
  beta: z.number().nonnegative().default(1).describe("reward scale: the target is exp(beta · r), without the prior"),
  weighting: z.enum(["sigma", "one"]).default("sigma").describe("factor of the residuals: σ of the step, or 1"),
  attenuation: attenuation.describe(
    "gamma of the predicted reward gradient: a², a, 1, 0 with a = √ᾱ (flows: at equal signal to noise)",
  ),
});
type Options = z.output<typeof options>;

/**
 * ∇-DB, without the residual: detailed balance against the noising kernel P_B = N(a x', s² I), whose two sides are matched in
 * their gradients. With h(x_i) = γ_i β ∇_x r(x̂_#(x_i)) − (1 − ᾱ_i) x_i + g_φ(x_i), h(x_T) = β∇r(x_T):
 *   L→ = mean ‖w (∇_{x'} [log π_θ(x' | x) − log P_B(x | x')] − sg h(x'))‖²       trains θ
 *   L← = mean ‖w (h(x) + sg ∇_x [log π_θ(x' | x) − log P_B(x | x')])‖²           trains φ
 * Its target is R^β = exp(β r), whatever the pretrained model: the prior counts only as the point where training starts, and
 * exp(β r) must have a finite integral. A policy that starts as a sharp model has to unlearn its details at low noise. w = σ in both
 * losses: the scores of the reverse residual grow as 1/σ, and with √σ it diverges (docs/decisions/022).
 * Network evaluations per transition: policy forward at x, backward by its input and by θ; frozen forward and backward by its
 * input at x and at x' for ∇_x r(x̂_#); flow twice forward and once backward.
 * Differs from the paper: semi-gradients, x̂ of the frozen network, and −(1 − ᾱ) x in h, which is exact for pure noise.
 */
export const nablaDb = defineObjective<Options>({
  kind: "nabla-db",
  paper: "liu2025nabla",
  aim: "reward-alone",
  summary: "∇-DB against the noising kernel: samples from exp(β r), the prior is only the start",
  options: options as z.ZodType<Options>,
  transitions: "strata",
  needs: () => ["reward-gradient", "reference", "flow", "memoryless-chain"],
  evaluations: ({ transitions }) => ({ perUpdate: 7 * transitions - 2 }),
  losses(batch, o) {
    const { state, next, sigma } = batch;
    const penalty = (residual: Tensor) => weightedSquare(residual, sigma, o.weighting);
    const hNext = flowGradient(next, o).stopGradient();
    // (μ_θ − x')/σ² − a(x − a x')/s² − h(x')
    const scoreNext = state.policy.mean.sub(next.x).div(sigma.square());
    const forward = scoreNext.sub(noisingScore(batch, next.x).mul(batch.noising.scale)).sub(hNext);
    const reverse = flowGradient(state, o).add(currentScore(batch).stopGradient());
    return { policy: { forward: penalty(forward) }, flow: { reverse: penalty(reverse) } };
  },
});

/** h(x): the modelled gradient of log F. */
function flowGradient(state: TransitionState, { beta, attenuation }: Options): Tensor {
  const { x, signal, share, inside, reference, flow } = state;
  const atEnd = inside.neg().add(1);
  const believed = gammaOf(share, attenuation).mul(inside).add(atEnd);
  const pull = state.rewardGradient(reference.x0Hat).mul(believed).mul(beta);
  const predicted = reference.pullBack({ x0Hat: pull }).stopGradient();
  // signal is 1 at x_T, where the second term is to be 0
  return predicted.sub(x.mul(signal.square().neg().add(1))).add(flow.mul(inside));
}

/** (x − a x')/s², the score of P_B by x' over a, and that by x with the sign turned. */
const noisingScore = ({ state, noising }: TransitionBatch, xNext: Tensor): Tensor =>
  state.x.sub(xNext.mul(noising.scale)).div(noising.std.square());

/** ∇_x [log π_θ(x' | x) − log P_B(x | x')] = J_θᵀ(x' − μ_θ)/σ² + (x − a x')/s² */
function currentScore(batch: TransitionBatch): Tensor {
  const { state, next, sigma } = batch;
  const scaled = next.x.sub(state.policy.mean).div(sigma.square());
  return state.policy.pullBack({ mean: scaled }).add(noisingScore(batch, next.x));
}
