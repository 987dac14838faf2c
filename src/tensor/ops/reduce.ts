import { arithmeticDtype } from "../dtypes.ts";
import { type Attrs, defineOperator, type Operator, type OperatorNode } from "../operator.ts";
import { normalizeAxes, type Shape, sizeOf } from "../shapes.ts";
import type { Tensor } from "../tensor.ts";
import { broadcastStrides } from "./binary.ts";

const kept = (shape: Shape, axes: readonly number[]) => shape.map((d, i) => (axes.includes(i) ? 1 : d));

interface Reduction extends Pick<Operator, "name" | "dtype"> {
  onnx: string;
  /** The values of one group to their reduction. */
  reduce(group: readonly number[]): number;
  /** Cotangent of x from that of y; both y and v have size 1 on the reduced axes. */
  vjp(x: Tensor, y: Tensor, v: Tensor, axes: readonly number[]): Tensor;
  /** Distance between sample values, where equal values make a jump. */
  spaced?: number;
}

/** A reduction over attrs.axes, which keepDims leaves in the shape with size 1. */
function defineReduction({ name, dtype, onnx, reduce, vjp, spaced }: Reduction): void {
  const axesOf = (attrs: Attrs, rank: number) => normalizeAxes(name, attrs.axes as number[], rank);
  const range = spaced === undefined ? {} : { low: -2, spaced };
  defineOperator({
    name,
    ...(dtype && { dtype }),
    shape([x], attrs) {
      const axes = axesOf(attrs, x!.rank);
      return attrs.keepDims ? kept(x!.shape, axes) : x!.shape.filter((_, i) => !axes.includes(i));
    },
    reference([x], attrs, shape) {
      const strides = broadcastStrides(kept(x!.shape, axesOf(attrs, x!.shape.length)), x!.shape);
      const groups = Array.from({ length: sizeOf(shape) }, (): number[] => []);
      const position = new Array<number>(x!.shape.length).fill(0);
      let o = 0;
      for (const value of x!.data) {
        groups[o]!.push(value);
        for (let axis = position.length - 1; axis >= 0; axis--) {
          position[axis]!++;
          o += strides[axis]!;
          if (position[axis]! < x!.shape[axis]!) break;
          o -= strides[axis]! * x!.shape[axis]!;
          position[axis] = 0;
        }
      }
      return Float64Array.from(groups, reduce);
    },
    vjp({ inputs: [x], output: y, attrs }: OperatorNode, v) {
      const axes = axesOf(attrs, x!.rank);
      const shape = kept(x!.shape, axes);
      return [vjp(x!, y.reshape(shape), v.reshape(shape), axes)];
    },
    emit(e, [x], { inputs, attrs }) {
      const axes = axesOf(attrs, inputs[0]!.rank);
      if (axes.length === 0) return x!;
      return e.node(onnx, [x!, e.ints(axes)], { keepdims: attrs.keepDims ? 1 : 0 });
    },
    samples: () => [
      { inputs: [{ shape: [2, 3, 4], ...range }], attrs: { axes: [1], keepDims: false } },
      { inputs: [{ shape: [2, 3, 4], ...range }], attrs: { axes: [0, 2], keepDims: true } },
      { inputs: [{ shape: [3], ...range }], attrs: { axes: [0], keepDims: false } },
      ...(dtype ? [{ inputs: [{ shape: [2, 3], integers: 9 }], attrs: { axes: [0], keepDims: false } }] : []),
    ],
  });
}

defineReduction({
  name: "sum",
  dtype: (inputs) => arithmeticDtype("sum", inputs),
  onnx: "ReduceSum",
  reduce: (group) => group.reduce((p, q) => p + q, 0),
  vjp: (x, _, v) => v.expand(x.shape),
});

/** Where several values are the extreme one, they share the gradient equally. */
function shareAmongExtremes(x: Tensor, y: Tensor, v: Tensor, axes: readonly number[]): Tensor {
  const extreme = x.equal(y);
  return extreme.mul(v.div(extreme.sum(axes, true)));
}
defineReduction({
  name: "max",
  dtype: (inputs) => arithmeticDtype("max", inputs),
  onnx: "ReduceMax",
  reduce: (group) => group.reduce((p, q) => Math.max(p, q), -Infinity),
  vjp: shareAmongExtremes,
  spaced: 0.25,
});
defineReduction({
  name: "min",
  dtype: (inputs) => arithmeticDtype("min", inputs),
  onnx: "ReduceMin",
  reduce: (group) => group.reduce((p, q) => Math.min(p, q), Infinity),
  vjp: shareAmongExtremes,
  spaced: 0.25,
});

// y = m + log Σ e^(x − m) with m = max x;  dx = e^(x − y) v
defineReduction({
  name: "logSumExp",
  onnx: "ReduceLogSumExp",
  reduce(group) {
    const top = group.reduce((p, q) => Math.max(p, q), -Infinity);
    return Number.isFinite(top) ? top + Math.log(group.reduce((sum, t) => sum + Math.exp(t - top), 0)) : top;
  },
  vjp: (x, y, v) => x.sub(y).exp().mul(v),
});
