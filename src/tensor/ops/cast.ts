import { roundToHalf } from "../float16.ts";
import { type DType, defineOperator, type Emitter } from "../operator.ts";

/** ONNX numbers of the types. */
const onnxType: Record<DType, number> = { float32: 1, int32: 6, float16: 10 };

export const emitCast = (e: Emitter, x: string, to: DType): string => e.node("Cast", [x], { to: onnxType[to] });

const converted: Record<DType, (value: number) => number> = {
  float32: (value) => value,
  int32: (value) => Math.trunc(value) + 0, // integers have no −0
  float16: roundToHalf,
};

/**
 * Another type for the same values; to int32 they are cut towards zero, to float16 rounded to the nearest, ties to even.
 * The cotangent is cast back, so it is rounded where x is float16. Integers carry no gradient.
 */
defineOperator({
  name: "cast",
  dtype: (_, attrs) => attrs.to as DType,
  shape: ([x]) => x!.shape,
  reference: ([x], attrs) => x!.data.map(converted[attrs.to as DType]),
  vjp: ({ inputs: [x], attrs }, v) => [x!.dtype === "int32" || attrs.to === "int32" ? null : v.cast(x!.dtype)],
  emit: (e, [x], { attrs }) => emitCast(e, x!, attrs.to as DType),
  samples: () => [
    { inputs: [{ shape: [3, 4], low: -2.3, spaced: 0.5 }], attrs: { to: "int32" } },
    { inputs: [{ shape: [2, 3], integers: 9 }], attrs: { to: "float32" } },
    { inputs: [{ shape: [2, 3], integers: 5000 }], attrs: { to: "float16" }, rounds: true },
    { inputs: [{ shape: [4, 5], low: -9, high: 9 }], attrs: { to: "float16" }, rounds: true },
  ],
});
