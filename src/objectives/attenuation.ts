import { z } from "zod";
import type { Tensor } from "../tensor/index.ts";

/** γ of the predicted reward, or of its gradient, by name: how much of what is predicted is believed inside the chain. */
export const attenuation = z.enum(["squared", "linear", "none", "zero"]).default("squared");
export type Attenuation = z.output<typeof attenuation>;

/** γ from a = √ᾱ (flows: 1 − t) of each state: a², a, 1, 0; in the shape of `signal`. */
export const gammaOf = (signal: Tensor, kind: Attenuation): Tensor =>
  ({ squared: signal.square(), linear: signal, none: signal.mul(0).add(1), zero: signal.mul(0) })[kind];
