import { ShapeError } from "../../core/errors.ts";
import { arithmeticDtype } from "../dtypes.ts";
import { defineOperator } from "../operator.ts";
import { eachLine, normalizeAxis, showShape, sizeOf } from "../shapes.ts";
import { apply, type Tensor } from "../tensor.ts";
import { takeAlongAxis } from "./take-along-axis.ts";

/** Values in order along an axis, and their int32 positions on it. The gradient goes to the picked values. */
export interface Ordered {
  values: Tensor;
  indices: Tensor;
}

/** The k largest (or smallest) values along one axis, the most extreme first; of equal ones the earlier comes first. */
export function topK(x: Tensor, k: number, axis = -1, largest = true): Ordered {
  const at = normalizeAxis("topK", axis, x.rank);
  const indices = apply("topKIndices", [x], { k, axis: at, largest });
  return { values: takeAlongAxis(x, indices, at), indices };
}

/** All values along one axis in rising (or falling) order; equal ones keep their order. */
export const sort = (x: Tensor, axis = -1, descending = false): Ordered =>
  topK(x, x.shape[normalizeAxis("sort", axis, x.rank)]!, axis, descending);

interface TopKAttrs {
  k: number;
  axis: number;
  largest: boolean;
}

defineOperator({
  name: "topKIndices",
  dtype(inputs) {
    arithmeticDtype("topK", inputs);
    return "int32";
  },
  shape([x], attrs) {
    const { k, axis } = attrs as unknown as TopKAttrs;
    const size = x!.shape[axis]!;
    if (!Number.isInteger(k) || k < 1 || k > size) {
      throw new ShapeError(`topK: 1 ≤ k ≤ ${size} is needed on axis ${axis} of ${showShape(x!.shape)}, but ${k} came.`);
    }
    return x!.shape.map((d, i) => (i === axis ? k : d));
  },
  reference([x], attrs, shape) {
    const { k, axis, largest } = attrs as unknown as TopKAttrs;
    const out = new Float64Array(sizeOf(shape));
    const lines: number[][] = [];
    eachLine(x!.shape, axis, (start, stride) => {
      const value = (i: number) => x!.data[start + i * stride]!;
      const positions = Array.from({ length: x!.shape[axis]! }, (_, i) => i);
      lines.push(positions.sort((i, j) => (largest ? value(j) - value(i) : value(i) - value(j))));
    });
    let line = 0;
    eachLine(shape, axis, (start, stride) => {
      const positions = lines[line++]!;
      for (let i = 0; i < k; i++) out[start + i * stride] = positions[i]!;
    });
    return out;
  },
  vjp: () => [null],
  emit(e, [x], { attrs }) {
    const { k, axis, largest } = attrs as unknown as TopKAttrs;
    const [, indices] = e.nodes("TopK", [x!, e.ints([k])], { axis, largest: Number(largest), sorted: 1 }, 2);
    return e.node("Cast", [indices!], { to: 6 }); // int64 to int32
  },
  samples: () => [
    { inputs: [{ shape: [3, 5], low: -2, spaced: 0.25 }], attrs: { k: 2, axis: 1, largest: true } },
    { inputs: [{ shape: [2, 4, 3], low: -2, spaced: 0.25 }], attrs: { k: 4, axis: 1, largest: false } },
    { inputs: [{ shape: [2, 6], integers: 3 }], attrs: { k: 6, axis: 1, largest: true } },
  ],
});
