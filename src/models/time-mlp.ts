import type { ParamSpec, ParamSpecs, Params } from "../nn/params.ts";
import { concat, constant, type Tensor } from "../tensor/index.ts";

const HIDDEN = [96, 96, 96];
const FREQUENCIES = 8;

/**
 * A small network of exact worlds: input (x, u, sin and cos of u·2^k·π/2 for k = 0 … 7, extra features), three hidden
 * layers of 96 with SiLU, output of the size of x. Layers start uniform in ±1/√inputs as PyTorch's do, the last one at
 * zero, so that the network starts as the zero function.
 */
export function timeMlpSpecs(size: number, extra: number, prefix: string): ParamSpecs {
  const sizes = [size + 1 + 2 * FREQUENCIES + extra, ...HIDDEN, size];
  const specs: Record<string, ParamSpec> = {};
  for (let layer = 0; layer < sizes.length - 1; layer++) {
    const [inputs, outputs] = [sizes[layer]!, sizes[layer + 1]!];
    const init = layer === HIDDEN.length ? "zeros" : { uniform: 1 / Math.sqrt(inputs) };
    specs[`${prefix}${layer}.weight`] = { shape: [outputs, inputs], init };
    specs[`${prefix}${layer}.bias`] = { shape: [outputs], init };
  }
  return specs;
}

/** x [B, D], progress u [B], extra features [B, E] if the specs have any: [B, D]. */
export function timeMlp(params: Params, prefix: string, x: Tensor, progress: Tensor, extra?: Tensor): Tensor {
  const u = progress.reshape([-1, 1]);
  const frequencies = Float32Array.from({ length: FREQUENCIES }, (_, k) => (2 ** k * Math.PI) / 2);
  const angles = u.mul(constant(frequencies, [1, FREQUENCIES]));
  let h = concat([x, u, angles.sin(), angles.cos(), ...(extra ? [extra] : [])], 1);
  for (let layer = 0; layer <= HIDDEN.length; layer++) {
    const y = h.matmul(params[`${prefix}${layer}.weight`]!, { transB: true }).add(params[`${prefix}${layer}.bias`]!);
    h = layer < HIDDEN.length ? y.silu() : y;
  }
  return h;
}
