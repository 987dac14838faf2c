import { ShapeError } from "../core/errors.ts";
import type { ValueInfo } from "../onnx/index.ts";
import { showShape, sizeOf } from "../tensor/index.ts";
import type { Values } from "./runtime.ts";

/** What `feeds` holds for an input. Throws ShapeError unless it is an array of the input's type and number of elements. */
export function feedFor(name: string, { shape, dtype }: ValueInfo, feeds: Values): Float32Array | Int32Array {
  const data = feeds[name];
  if (!data || data.length !== sizeOf(shape) || !(data instanceof (dtype === "int32" ? Int32Array : Float32Array))) {
    throw new ShapeError(
      `run: input "${name}" needs ${dtype} ${showShape(shape)} (${sizeOf(shape)} values), but ${data ? `${data.length} values of ${data.constructor.name}` : "nothing"} came.`,
    );
  }
  return data;
}
