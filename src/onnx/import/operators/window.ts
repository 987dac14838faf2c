import type { Tensor } from "../../../tensor/index.ts";
import type { OnnxNode } from "../node.ts";

/** Geometry of a convolution or pool along each axis of space. */
export interface Window {
  kernel: readonly number[];
  strides: readonly number[];
  dilations: readonly number[];
  /** Entries added before and after, as ONNX's pads or auto_pad say. */
  before: readonly number[];
  after: readonly number[];
}

/** Rows of 0 … n − 1 with all axes of space given. */
const perAxis = (node: OnnxNode, name: string, count: number, fallback: number): number[] => {
  const values = node.ints(name) ?? new Array<number>(count).fill(fallback);
  if (values.length !== count || values.some((v) => !(v >= 1 && v < 2 ** 31)))
    node.fail(`${name} has a number of 1 or more for each of ${count} axes, but is ${JSON.stringify(values)}.`);
  return values;
};

/** Reads the attributes of a window over the axes of `size`, for a kernel that is given or an attribute. */
export function windowOf(node: OnnxNode, size: readonly number[], kernelOfWeight?: readonly number[]): Window {
  const count = size.length;
  if (!kernelOfWeight && !node.has("kernel_shape")) node.fail("kernel_shape is needed.");
  const kernel = kernelOfWeight ?? perAxis(node, "kernel_shape", count, 1);
  const strides = perAxis(node, "strides", count, 1);
  const dilations = perAxis(node, "dilations", count, 1);
  const auto = node.word("auto_pad", "NOTSET", ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]);
  if (auto === "SAME_UPPER" || auto === "SAME_LOWER") {
    // As many as make ⌈size/stride⌉ windows; an odd one goes after (UPPER) or before (LOWER).
    const total = size.map((n, i) =>
      Math.max(0, (Math.ceil(n / strides[i]!) - 1) * strides[i]! + dilations[i]! * (kernel[i]! - 1) + 1 - n),
    );
    const less = total.map((t) => Math.floor(t / 2));
    const more = total.map((t, i) => t - less[i]!);
    const [before, after] = auto === "SAME_UPPER" ? [less, more] : [more, less];
    return { kernel, strides, dilations, before, after };
  }
  const pads = (auto === "NOTSET" && node.ints("pads")) || new Array<number>(2 * count).fill(0);
  if (pads.length !== 2 * count || pads.some((p) => !(p >= 0 && p < 2 ** 31)))
    node.fail(`pads has two numbers of 0 or more for each of ${count} axes, but is ${JSON.stringify(pads)}.`);
  return { kernel, strides, dilations, before: pads.slice(0, count), after: pads.slice(count) };
}

/** Signals [B,C,L] are images of one row here, [B,C,1,L]. */
export const asImage = (x: Tensor): Tensor => (x.rank === 3 ? x.reshape(x.shape.toSpliced(2, 0, 1)) : x);

/** [B,C,1,L] back to [B,C,L] where the operand was a signal. */
export const likeOperand = (y: Tensor, operand: Tensor): Tensor =>
  operand.rank === 3 ? y.reshape(y.shape.toSpliced(2, 1)) : y;

/** The same for geometry along the axes: a row is a kernel of 1 along the axis that is not there. */
export function asImageWindow({ kernel, strides, dilations, before, after }: Window): Window {
  const lead = (values: readonly number[], value: number) => (values.length === 1 ? [value, ...values] : values);
  return {
    kernel: lead(kernel, 1),
    strides: lead(strides, 1),
    dilations: lead(dilations, 1),
    before: lead(before, 0),
    after: lead(after, 0),
  };
}
