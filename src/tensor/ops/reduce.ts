import { defineOperator } from "../operator.ts";
import { normalizeAxes, type Shape, sizeOf } from "../shapes.ts";
import { broadcastStrides } from "./binary.ts";

const kept = (shape: Shape, axes: readonly number[]) => shape.map((d, i) => (axes.includes(i) ? 1 : d));

defineOperator({
  name: "sum",
  shape([x], attrs) {
    const axes = normalizeAxes("sum", attrs.axes as number[], x!.rank);
    return attrs.keepDims ? kept(x!.shape, axes) : x!.shape.filter((_, i) => !axes.includes(i));
  },
  reference([x], attrs, shape) {
    const axes = normalizeAxes("sum", attrs.axes as number[], x!.shape.length);
    const strides = broadcastStrides(kept(x!.shape, axes), x!.shape);
    const out = new Float64Array(sizeOf(shape));
    const position = new Array<number>(x!.shape.length).fill(0);
    let o = 0;
    for (const value of x!.data) {
      out[o]! += value;
      for (let axis = position.length - 1; axis >= 0; axis--) {
        position[axis]!++;
        o += strides[axis]!;
        if (position[axis]! < x!.shape[axis]!) break;
        o -= strides[axis]! * x!.shape[axis]!;
        position[axis] = 0;
      }
    }
    return out;
  },
  vjp({ inputs: [x], attrs }, v) {
    const axes = normalizeAxes("sum", attrs.axes as number[], x!.rank);
    return [v.reshape(kept(x!.shape, axes)).expand(x!.shape)];
  },
  emit(e, [x], { inputs, attrs }) {
    const axes = normalizeAxes("sum", attrs.axes as number[], inputs[0]!.rank);
    if (axes.length === 0) return x!;
    return e.node("ReduceSum", [x!, e.ints(axes)], { keepdims: attrs.keepDims ? 1 : 0 });
  },
  samples: () => [
    { inputs: [{ shape: [2, 3, 4] }], attrs: { axes: [1], keepDims: false } },
    { inputs: [{ shape: [2, 3, 4] }], attrs: { axes: [0, 2], keepDims: true } },
    { inputs: [{ shape: [3] }], attrs: { axes: [0], keepDims: false } },
  ],
});
