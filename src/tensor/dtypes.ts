import { ShapeError } from "../core/errors.ts";
import type { DType } from "./operator.ts";
import type { Tensor } from "./tensor.ts";

/* The `dtype` rules of operators. */

/** Operators that move values about keep their type, whatever it is. */
export const dtypeOfFirst = (inputs: readonly Tensor[]): DType => inputs[0]!.dtype;

/** Operators that put values of several operands together need one type. Throws ShapeError otherwise. */
export function commonDtype(operator: string, inputs: readonly Tensor[]): DType {
  const { dtype } = inputs[0]!;
  if (inputs.some((x) => x.dtype !== dtype)) {
    throw new ShapeError(
      `${operator}: operands of one type are needed, but ${typesOf(inputs)} came. Use cast("float32") or cast("int32").`,
    );
  }
  return dtype;
}

/**
 * Operators that compute need float32 or int32, one type for all operands. Throws ShapeError otherwise.
 *
 * float16 is a type to store and to round, not to compute in: ONNX Runtime's CPU kernels widen it, and its optimiser then
 * drops the casts around them, even those of the graph. A sum of halves would come out with or without the rounding,
 * depending on its neighbours. cast("float32") says what is computed.
 */
export function arithmeticDtype(operator: string, inputs: readonly Tensor[]): DType {
  if (inputs.some((x) => x.dtype === "float16")) {
    throw new ShapeError(
      `${operator}: float16 is stored and moved, not computed with, but ${typesOf(inputs)} came. Use cast("float32") before, and cast("float16") after where the result is to be rounded.`,
    );
  }
  return commonDtype(operator, inputs);
}

/** The rule where an operator states none. Throws ShapeError for other operands. */
export function requireFloat32(operator: string, inputs: readonly Tensor[]): DType {
  if (inputs.some((x) => x.dtype !== "float32"))
    throw new ShapeError(`${operator}: float32 operands are needed, but ${typesOf(inputs)} came. Use cast("float32").`);
  return "float32";
}

/** Positions along an axis are int32. Throws ShapeError otherwise. */
export function requireInt32(operator: string, ids: Tensor): void {
  if (ids.dtype !== "int32")
    throw new ShapeError(`${operator}: ids must be int32, but ${ids.dtype} came. Use cast("int32").`);
}

const typesOf = (inputs: readonly Tensor[]) => inputs.map((x) => x.dtype).join(" and ");
