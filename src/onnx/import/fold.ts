import { constant, evaluate, fill, type Tensor } from "../../tensor/index.ts";

/** Numbers that take part in one folding, inputs included. Shapes, axes and scales are far smaller, weights far larger. */
const MAX_FOLDED = 8192;

/** True for values that are known while the graph is built. */
export const isKnown = (x: Tensor): boolean => x.op === "constant" || x.op === "fill";

/** The numbers of a known value. */
export const numbersOf = (x: Tensor): number[] =>
  x.op === "fill" ? new Array<number>(x.size).fill(x.attrs.value as number) : Array.from(x.data!);

/**
 * A constant in place of a small value that depends on constants alone. That is how the shape arithmetic of an exported model
 * (Shape, Gather, Concat …) becomes the whole numbers that Reshape and its like need.
 */
export function fold(y: Tensor): Tensor {
  if (isKnown(y) || !foldable(y)) return y;
  const [values] = evaluate([y]);
  return constant(y.dtype === "int32" ? Int32Array.from(values!) : Float32Array.from(values!), y.shape);
}

/** Values that cannot be folded, and so nothing that is made of them. */
const open = new WeakSet<Tensor>();

function foldable(y: Tensor): boolean {
  let numbers = 0;
  const seen = new Set<Tensor>();
  const stack = [y];
  for (let x = stack.pop(); x; x = stack.pop()) {
    if (seen.has(x)) continue;
    seen.add(x);
    numbers += x.size + 1;
    if (x.op === "input" || open.has(x) || numbers > MAX_FOLDED) {
      open.add(y);
      return false;
    }
    stack.push(...x.inputs);
  }
  return true;
}

/** int32 numbers as a constant of one axis, or a scalar. */
export const ints = (values: readonly number[], shape: readonly number[] = [values.length]): Tensor =>
  constant(Int32Array.from(values), shape);

/** float32 numbers as a constant. */
export const floats = (values: ArrayLike<number>, shape: readonly number[]): Tensor =>
  constant(Float32Array.from(values), shape);

/** An int32 scalar or filled tensor. */
export const filledInts = (shape: readonly number[], value: number): Tensor => fill(shape, value, "int32");
