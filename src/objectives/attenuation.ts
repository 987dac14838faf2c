import { z } from "zod";
import type { Tensor } from "../tensor/index.ts";

/** γ of the predicted reward, or of its gradient, by name: how much of what is predicted is believed inside the chain. */
export const attenuation = z.enum(["squared", "linear", "none", "zero"]).default("squared");
export type Attenuation = z.output<typeof attenuation>;

/**
 * γ from a = √ᾱ of each state: a², a, 1, 0; in the shape of `a`. For flows ᾱ is that of the diffusion with the same signal-to-noise
 * ratio, (1−t)²/((1−t)² + t²): γ is then the same on chains that differ by the scale of their states alone.
 */
export const gammaOf = (a: Tensor, kind: Attenuation): Tensor =>
  ({ squared: a.square(), linear: a, none: a.mul(0).add(1), zero: a.mul(0) })[kind];
