import { z } from "zod";
import type { Kernel } from "../kernel.ts";
import type { Level } from "../level.ts";
import { defineSampler, diffusionOptions } from "../sampler.ts";

/**
 * [song2021ddim] Eq. (12), (16), primes = next level:
 * σ² = η² (1−ᾱ')/(1−ᾱ) · (1 − ᾱ/ᾱ'),  mean = √ᾱ' x0Hat + √(1−ᾱ'−σ²) ε
 */
export function ddimKernel({ alphaBar }: Level, next: Level, eta: number): Kernel {
  const variance = (eta * eta * (1 - next.alphaBar) * (1 - alphaBar / next.alphaBar)) / (1 - alphaBar);
  return {
    x: 0,
    x0Hat: Math.sqrt(next.alphaBar),
    eps: Math.sqrt(1 - next.alphaBar - variance),
    std: Math.sqrt(variance),
  };
}

/** DDIM with eta 0, the ODE of every sampler on a model's own noise schedule. */
export const ddimOde = (options: object) => ({ kind: "ddim", ...options, eta: 0 });

/** DDIM. Only eta = 1 reverses a Markov noising chain; with eta = 0 it is deterministic and has no score to train. */
export const ddim = defineSampler({
  kind: "ddim",
  summary: "DDIM with noise eta: 0 is deterministic, 1 is DDPM",
  options: z.strictObject({ ...diffusionOptions, eta: z.number().min(0).max(1).default(0) }),
  predictions: ["epsilon", "v_prediction", "sample"],
  kernel: (level, next, { eta }) => ddimKernel(level, next, eta),
  stochastic: ({ eta }) => eta > 0,
  reversesMarkov: ({ eta }) => eta === 1,
  ode: ddimOde,
});
