import { z } from "zod";
import { attenuation } from "./attenuation.ts";
import { logFlow } from "./log-flow.ts";
import { logRatio } from "./log-ratio.ts";
import { defineObjective } from "./objective.ts";

const options = z.strictObject({
  beta: z.number().nonnegative().default(1).describe("reward scale: the target is p_pre · exp(beta · r)"),
  attenuation: attenuation.describe(
    "gamma of the predicted reward: a², a, 1, 0 with a = √ᾱ (flows: at equal signal to noise); zero takes any reward",
  ),
});
type Options = z.output<typeof options>;

/**
 * Residual detailed balance, zeroth order. With log F̃_i(x) = γ_i β r(x̂_#(x)) + f_φ(x), log F̃_T = β r:
 *   L = mean (log π_θ/π_#(x_{i+1} | x_i) + log F̃_i(x_i) − log F̃_{i+1}(x_{i+1}))²
 * trains θ and φ together; where it is 0 everywhere, on a chain that forgets its start, x_T ~ p_pre exp(β r). Residual ∇-DB
 * matches the gradients of both sides instead. Log-ratios are sums over elements, x̂ is the frozen network's, and f_φ is the
 * mean over the elements of the flow network's output.
 */
export const residualDb = defineObjective<Options>({
  kind: "residual-db",
  paper: "liu2025nabla",
  aim: "tilted-prior",
  summary: "samples from p_pre · exp(β r) by detailed balance of log flows, without ∇r",
  options: options as z.ZodType<Options>,
  transitions: "strata",
  // r(x̂) is computed in the graph: with γ = 0 it is not, and a reward on the host will do
  needs: ({ attenuation }) => [
    "reference",
    "flow",
    "memoryless-chain",
    ...(attenuation === "zero" ? [] : (["reward-gradient"] as const)),
  ],
  evaluations: ({ transitions }, { attenuation }) => ({
    perUpdate: attenuation === "zero" ? 3 * transitions : 4 * transitions - 1,
  }),
  losses(batch, o) {
    const at = (end: "state" | "next") => logFlow(batch[end], batch.reward, o);
    const balance = logRatio(batch).add(at("state")).sub(at("next")).square().mean();
    return { policy: { balance }, flow: { balance } };
  },
});
