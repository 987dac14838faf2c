import { sizeOf, topologicalOrder } from "../dist/tensor/index.js";

/**
 * Floating-point operations of the products and convolutions of a graph, the derivative's among them: 2 per multiplication and
 * addition. Everything else (norms, activations, moves) counts as nothing, so that a share of the ceiling is never flattered.
 * @param {Readonly<Record<string, import("../dist/tensor/index.js").Tensor>>} outputs
 */
export function flopsOf(outputs) {
  const flops = { matmul: 0, conv: 0 };
  for (const { op, inputs, attrs, shape } of topologicalOrder(Object.values(outputs))) {
    if (op === "matmul") flops.matmul += 2 * sizeOf(shape) * inputs[0].shape.at(attrs.transA ? -2 : -1);
    else if (op === "conv2d") flops.conv += 2 * sizeOf(shape) * sizeOf(inputs[1].shape.slice(1));
    else if (op === "conv2dInput") flops.conv += 2 * sizeOf(inputs[0].shape) * sizeOf(inputs[1].shape.slice(1));
    else if (op === "conv2dWeight") flops.conv += 2 * sizeOf(inputs[1].shape) * sizeOf(shape.slice(1)); // [O, C/groups, kh, kw]
  }
  return flops;
}
