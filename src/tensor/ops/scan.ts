import { arithmeticDtype } from "../dtypes.ts";
import { defineOperator } from "../operator.ts";
import { eachLine, sizeOf } from "../shapes.ts";

interface ScanAttrs {
  axis: number;
  reverse: boolean;
}

/** y_k = Σ_{j ≤ k} x_j along one axis; reverse: Σ_{j ≥ k}. One is the transpose of the other. */
defineOperator({
  name: "cumsum",
  dtype: (inputs) => arithmeticDtype("cumsum", inputs),
  shape: ([x]) => x!.shape,
  reference([x], attrs, shape) {
    const { axis, reverse } = attrs as unknown as ScanAttrs;
    const out = new Float64Array(sizeOf(shape));
    const length = shape[axis]!;
    eachLine(shape, axis, (start, stride) => {
      let sum = 0;
      for (let k = 0; k < length; k++) {
        const at = start + (reverse ? length - 1 - k : k) * stride;
        sum += x!.data[at]!;
        out[at] = sum;
      }
    });
    return out;
  },
  vjp({ attrs }, v) {
    const { axis, reverse } = attrs as unknown as ScanAttrs;
    return [v.cumsum(axis, !reverse)];
  },
  emit(e, [x], { attrs }) {
    const { axis, reverse } = attrs as unknown as ScanAttrs;
    return e.node("CumSum", [x!, e.ints([axis], [])], { reverse: Number(reverse) });
  },
  samples: () => [
    { inputs: [{ shape: [2, 5, 3] }], attrs: { axis: 1, reverse: false } },
    { inputs: [{ shape: [2, 4] }], attrs: { axis: 1, reverse: true } },
    { inputs: [{ shape: [4], integers: 9 }], attrs: { axis: 0, reverse: false } },
  ],
});
