export { split, stack, tile } from "./arrange.ts";
export { einsum } from "./einsum.ts";
export { evaluate } from "./evaluate.ts";
export { dependsOn, gradient, topologicalOrder, vjp } from "./gradient.ts";
export { instanceNorm, rmsNorm } from "./norms.ts";
export * from "./operator.ts";
export * from "./ops/index.ts";
export { type Shape, showShape, sizeOf } from "./shapes.ts";
export { apply, constant, fill, input, type Operand, Tensor, zerosLike } from "./tensor.ts";
