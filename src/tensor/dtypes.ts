import { ShapeError } from "../core/errors.ts";
import type { DType } from "./operator.ts";
import type { Tensor } from "./tensor.ts";

/* The `dtype` rules of operators. */

/** Operators that move values about keep their type. */
export const dtypeOfFirst = (inputs: readonly Tensor[]): DType => inputs[0]!.dtype;

/** Operators that combine values need one type. Throws ShapeError otherwise. */
export function commonDtype(operator: string, inputs: readonly Tensor[]): DType {
  const { dtype } = inputs[0]!;
  if (inputs.some((x) => x.dtype !== dtype)) {
    throw new ShapeError(
      `${operator}: operands of one type are needed, but ${typesOf(inputs)} came. Use cast("float32") or cast("int32").`,
    );
  }
  return dtype;
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
