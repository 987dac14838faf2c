import { groupNorm } from "./ops/norm.ts";
import type { Tensor } from "./tensor.ts";

/** Root-mean-square normalisation x/√(mean(x²) + eps) over the last axis [zhang2019rms]. A gain is multiplied by the caller. */
export const rmsNorm = (x: Tensor, eps: number): Tensor => x.div(x.square().mean([-1], true).add(eps).sqrt());

/**
 * Instance normalisation of x [B,C,...] with gain and bias [C]: each channel of each sample is standardised, then scaled
 * and shifted [ulyanov2016instance].
 */
export const instanceNorm = (x: Tensor, gain: Tensor, bias: Tensor, eps: number): Tensor =>
  groupNorm(x, gain, bias, x.shape[1]!, eps);
