import type { ParamSpecs } from "./params.ts";

// Initial laws of torch.nn: Linear and Conv draw weight and bias from U(−b, b), b = 1/√fanIn (kaiming_uniform with
// a = √5), normalisations start as the identity.

/** `name.weight` [out, in] and `name.bias` [out]. */
export function linearSpecs(name: string, inputs: number, outputs: number, bias = true): ParamSpecs {
  const init = { uniform: 1 / Math.sqrt(inputs) };
  return {
    [`${name}.weight`]: { shape: [outputs, inputs], init },
    ...(bias && { [`${name}.bias`]: { shape: [outputs], init } }),
  };
}

/** `name.weight` [out, in, kernel, kernel] and `name.bias` [out]. */
export function convSpecs(name: string, inputs: number, outputs: number, kernel: number): ParamSpecs {
  const init = { uniform: 1 / Math.sqrt(inputs * kernel * kernel) };
  return {
    [`${name}.weight`]: { shape: [outputs, inputs, kernel, kernel], init },
    [`${name}.bias`]: { shape: [outputs], init },
  };
}

/** Gain and bias [channels] of a layer or group normalisation. */
export function normSpecs(name: string, channels: number): ParamSpecs {
  return {
    [`${name}.weight`]: { shape: [channels], init: "ones" },
    [`${name}.bias`]: { shape: [channels], init: "zeros" },
  };
}

/** `name.weight` [rows, width], a table of normal vectors. */
export function embeddingSpecs(name: string, rows: number, width: number, std: number): ParamSpecs {
  return { [`${name}.weight`]: { shape: [rows, width], init: { normal: std } } };
}
