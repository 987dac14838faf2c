import { ShapeError } from "../../core/errors.ts";
import { arithmeticDtype } from "../dtypes.ts";
import { defineOperator } from "../operator.ts";
import { broadcastShapes, sizeOf } from "../shapes.ts";
import { apply, type Operand, type Tensor } from "../tensor.ts";
import { apart, broadcastStrides, eachPair, pairSamples, sumTo } from "./binary.ts";
import { gatherStrided } from "./layout.ts";

/** 1 where the comparison holds, else 0 (float32). Its derivative is zero almost everywhere. */
function defineComparison(name: string, onnx: string, holds: (a: number, b: number) => boolean): void {
  defineOperator({
    name,
    dtype(inputs) {
      arithmeticDtype(name, inputs);
      return "float32";
    },
    shape: ([a, b]) => broadcastShapes(name, a!.shape, b!.shape),
    reference([a, b], _, shape) {
      const out = new Float64Array(sizeOf(shape));
      eachPair(shape, a!.shape, b!.shape, (o, i, j) => {
        out[o] = holds(a!.data[i]!, b!.data[j]!) ? 1 : 0;
      });
      return out;
    },
    vjp: () => [null, null],
    emit: (e, inputs) => e.node("Cast", [e.node(onnx, inputs)], { to: 1 }), // bool to float
    samples: () => pairSamples(apart, true),
  });
}
defineComparison("greater", "Greater", (a, b) => a > b);
defineComparison("greaterEqual", "GreaterOrEqual", (a, b) => a >= b);
defineComparison("equal", "Equal", (a, b) => a === b);

/**
 * a where the mask is not 0, else b; all three broadcast. Unlike mask·a + (1 − mask)·b it keeps infinities and NaN of the
 * branch that is not taken out of the value and out of the gradient.
 */
export const where = (mask: Tensor, a: Operand, b: Operand): Tensor => apply("where", [mask, a, b]);

defineOperator({
  name: "where",
  dtype([mask, a, b]) {
    arithmeticDtype("where", [mask!]);
    return arithmeticDtype("where", [a!, b!]);
  },
  shape: ([mask, a, b]) => broadcastShapes("where", mask!.shape, broadcastShapes("where", a!.shape, b!.shape)),
  reference(inputs, _, shape) {
    const [mask, a, b] = inputs.map((x) => gatherStrided(x.data, shape, broadcastStrides(x.shape, shape)));
    return mask!.map((m, i) => (m !== 0 ? a![i]! : b![i]!));
  },
  vjp: ({ inputs: [mask, a, b] }, v) => [
    null,
    sumTo(where(mask!, v, 0), a!.shape),
    sumTo(where(mask!, 0, v), b!.shape),
  ],
  emit: (e, [mask, a, b]) => e.node("Where", [e.node("Cast", [mask!], { to: 9 }), a!, b!]), // float to bool
  samples: () => [
    { inputs: [{ shape: [3, 4], integers: 2 }, { shape: [3, 4] }, { shape: [3, 4] }] },
    { inputs: [{ shape: [3, 1], integers: 2 }, { shape: [2, 1, 4] }, { shape: [] }] },
    {
      inputs: [
        { shape: [4], integers: 2 },
        { shape: [4], integers: 9 },
        { shape: [4], integers: 9 },
      ],
    },
  ],
});

interface Bounds {
  low: number;
  high: number;
}

defineOperator({
  name: "clip",
  shape([x], attrs) {
    const { low, high } = attrs as unknown as Bounds;
    if (!(low <= high)) throw new ShapeError(`clip: low ≤ high is needed, but ${low} and ${high} came.`);
    return x!.shape;
  },
  reference([x], attrs) {
    const { low, high } = attrs as unknown as Bounds;
    return x!.data.map((t) => Math.min(Math.max(t, low), high));
  },
  vjp({ inputs: [x], attrs }, v) {
    const { low, high } = attrs as unknown as Bounds;
    return [v.mul(x!.greaterEqual(low)).mul(x!.lessEqual(high))];
  },
  emit: (e, [x], { attrs }) =>
    e.node("Clip", [x!, e.floats([attrs.low as number], []), e.floats([attrs.high as number], [])]),
  samples: () => [{ inputs: [{ shape: [3, 4], low: -2, spaced: 0.3 }], attrs: { low: -0.7, high: 0.6 } }],
});
