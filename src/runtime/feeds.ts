import { ShapeError } from "../core/errors.ts";
import type { EmittedModel, ValueInfo } from "../onnx/index.ts";
import { showShape, sizeOf } from "../tensor/index.ts";
import type { Values } from "./runtime.ts";

/** Makes a value of a backend that shares the memory of `data`, whose type must be that of the value. */
export type ToValue<T> = (data: Float32Array | Int32Array, info: ValueInfo) => T;

/** Of the feeds of one run, the values of every input of a model; the further scalar that some have is 0. */
export function feeder<T>({ inputs, zero }: EmittedModel, toValue: ToValue<T>): (feeds: Values) => Record<string, T> {
  const fixed = zero === undefined ? {} : { [zero]: toValue(Float32Array.of(0), { shape: [], dtype: "float32" }) };
  return (feeds) => ({
    ...Object.fromEntries(
      Object.entries(inputs).map(([name, info]) => [name, toValue(feedFor(name, info, feeds), info)]),
    ),
    ...fixed,
  });
}

/** What `feeds` holds for an input. Throws ShapeError unless it is an array of the input's type and number of elements. */
function feedFor(name: string, { shape, dtype }: ValueInfo, feeds: Values): Float32Array | Int32Array {
  const data = feeds[name];
  if (!data || data.length !== sizeOf(shape) || !(data instanceof (dtype === "int32" ? Int32Array : Float32Array))) {
    throw new ShapeError(
      `run: input "${name}" needs ${dtype} ${showShape(shape)} (${sizeOf(shape)} values), but ${data ? `${data.length} values of ${data.constructor.name}` : "nothing"} came.`,
    );
  }
  return data;
}
