import type { Tensor } from "../tensor/index.ts";

/** What a residual of a step is multiplied by: σ of the step, √σ or 1. */
export type ResidualWeighting = "sigma" | "root-sigma" | "one";

/** mean ‖w residual‖², residual [B, …shape], sigma [B, 1, …]. */
export function weightedSquare(residual: Tensor, sigma: Tensor, weighting: ResidualWeighting): Tensor {
  const weight = { sigma, "root-sigma": sigma.sqrt(), one: undefined }[weighting];
  return (weight ? residual.mul(weight) : residual).square().mean();
}
