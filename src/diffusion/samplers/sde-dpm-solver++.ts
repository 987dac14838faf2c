import { z } from "zod";
import { grids } from "../grid.ts";
import { defineSampler, diffusionOptions } from "../sampler.ts";
import { ddimKernel, ddimOde } from "./ddim.ts";

/**
 * First-order SDE-DPM-Solver++ [lu2022dpmsolverpp]. With λ = log(√ᾱ/√(1−ᾱ)), h = λ' − λ (prime = next level):
 * mean = (√(1−ᾱ')/√(1−ᾱ)) e^{−h} x + √ᾱ' (1−e^{−2h}) x0Hat,  σ = √(1−ᾱ') √(1−e^{−2h})
 * This is DDPM's kernel written in λ; only the grid differs. As all grids, it ends at train time 0 (`final_sigmas_type:
 * sigma_min` in diffusers): with `zero` the last step would have no noise and no score. The second order looks at the
 * step before, so that it is no Markov chain in x.
 */
export const sdeDpmSolver = defineSampler({
  kind: "sde-dpm-solver++",
  summary: "first-order SDE-DPM-Solver++: DDPM's kernel on that solver's grids",
  options: z.strictObject({
    ...diffusionOptions,
    grid: z.enum(grids).default("linspace").describe("which levels are visited"),
  }),
  predictions: ["epsilon", "v_prediction", "sample"],
  kernel: (level, next) => ddimKernel(level, next, 1),
  stochastic: () => true,
  reversesMarkov: () => true,
  ode: ddimOde,
});
