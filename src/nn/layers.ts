import { ConfigError } from "../core/errors.ts";
import {
  type ConvOptions,
  conv2d,
  gather,
  standardize,
  type Tensor,
  groupNorm as tensorGroupNorm,
} from "../tensor/index.ts";
import type { Params } from "./params.ts";

/** The parameter called `name`; throws ConfigError when the weights lack it. */
export function parameter(params: Params, name: string): Tensor {
  const found = params[name];
  if (!found) {
    throw new ConfigError(
      `The network needs a parameter "${name}", but its ${Object.keys(params).length} parameters do not include it. Do the weights belong to this configuration?`,
    );
  }
  return found;
}

/** Factors of a low-rank addition B·A to the weight of module `name`, where `withLora` has put one. */
function loraOf(params: Params, name: string): { a: Tensor; b: Tensor } | undefined {
  const a = params[`${name}.lora_A.weight`];
  const b = params[`${name}.lora_B.weight`];
  return a && b && { a, b };
}

/**
 * x·Wᵀ + bias over the last axis: x [..., in] → [..., out]. The bias is left out where the parameters have none. Leading
 * axes become rows of one matrix, because the weight gradient of a batched product is slow.
 */
export function linear(params: Params, name: string, x: Tensor): Tensor {
  const weight = parameter(params, `${name}.weight`);
  const rows = x.reshape([-1, x.shape[x.rank - 1]!]);
  let y = rows.matmul(weight, { transB: true });
  const lora = loraOf(params, name);
  if (lora) y = y.add(rows.matmul(lora.a, { transB: true }).matmul(lora.b, { transB: true }));
  const bias = params[`${name}.bias`];
  if (bias) y = y.add(bias);
  return y.reshape([...x.shape.slice(0, -1), weight.shape[0]!]);
}

/** Convolution with bias: x [B,C,H,W] → [B,O,H',W']. A low-rank addition is a convolution A, then a 1×1 convolution B. */
export function conv(params: Params, name: string, x: Tensor, options: ConvOptions = {}): Tensor {
  const weight = parameter(params, `${name}.weight`);
  const bias = params[`${name}.bias`];
  const y = conv2d(x, weight, options, bias);
  const lora = loraOf(params, name);
  return lora ? y.add(conv2d(conv2d(x, lora.a, options), lora.b)) : y;
}

/** Group normalisation of x [B,C,...] with gain and bias per channel. */
export const groupNorm = (params: Params, name: string, x: Tensor, groups: number, eps: number): Tensor =>
  tensorGroupNorm(x, parameter(params, `${name}.weight`), parameter(params, `${name}.bias`), groups, eps);

/** Layer normalisation over the last axis: standardize(x)·gain + bias. */
export const layerNorm = (params: Params, name: string, x: Tensor, eps: number): Tensor =>
  standardize(x, eps)
    .mul(parameter(params, `${name}.weight`))
    .add(parameter(params, `${name}.bias`));

/** Rows of the table `name.weight` [N, D] picked by int32 ids [...]: [..., D]. */
export const embedding = (params: Params, name: string, ids: Tensor): Tensor =>
  gather(parameter(params, `${name}.weight`), ids);
