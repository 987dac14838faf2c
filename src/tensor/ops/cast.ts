import { type DType, defineOperator } from "../operator.ts";

/** ONNX numbers of the types. */
const onnxType = { float32: 1, int32: 6 } as const;

/** Another type for the same values; to int32 they are cut towards zero. Integers carry no gradient. */
defineOperator({
  name: "cast",
  dtype: (_, attrs) => attrs.to as DType,
  shape: ([x]) => x!.shape,
  reference: ([x], attrs) => (attrs.to === "int32" ? x!.data.map(Math.trunc) : x!.data),
  vjp: () => [null],
  emit: (e, inputs, { attrs }) => e.node("Cast", inputs, { to: onnxType[attrs.to as DType] }),
  samples: () => [
    { inputs: [{ shape: [3, 4], low: -2.3, spaced: 0.5 }], attrs: { to: "int32" } },
    { inputs: [{ shape: [2, 3], integers: 9 }], attrs: { to: "float32" } },
  ],
});
