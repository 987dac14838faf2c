import { z } from "zod";
import { defineSampler, diffusionOptions } from "../sampler.ts";
import { ddimKernel, ddimOde } from "./ddim.ts";

/** Ancestral sampling [ho2020ddpm]; on the same levels, first-order SDE-DPM-Solver++ is the same kernel. */
export const ddpm = defineSampler({
  kind: "ddpm",
  summary: "DDPM ancestral sampling, the reversal of the noising chain",
  options: z.strictObject(diffusionOptions),
  predictions: ["epsilon", "v_prediction", "sample"],
  kernel: (level, next) => ddimKernel(level, next, 1),
  stochastic: () => true,
  reversesMarkov: () => true,
  ode: ddimOde,
});
