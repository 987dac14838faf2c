import { ShapeError } from "../core/errors.ts";
import { concat } from "./ops/layout.ts";
import { normalizeAxis, showShape } from "./shapes.ts";
import type { Tensor } from "./tensor.ts";

/** x laid out `repeats[i]` times along each axis i: shape [d_i·repeats_i]. */
export function tile(x: Tensor, repeats: readonly number[]): Tensor {
  if (repeats.length !== x.rank || repeats.some((n) => !Number.isInteger(n) || n < 1)) {
    throw new ShapeError(
      `tile: one whole number ≥ 1 per axis of ${showShape(x.shape)} is needed, but ${JSON.stringify(repeats)} came.`,
    );
  }
  return x
    .reshape(x.shape.flatMap((d) => [1, d]))
    .expand(x.shape.flatMap((d, i) => [repeats[i]!, d]))
    .reshape(x.shape.map((d, i) => d * repeats[i]!));
}

/** Cuts x along one axis, at the ends of pieces of the given sizes; a number means so many equal pieces. */
export function split(x: Tensor, pieces: number | readonly number[], axis: number): Tensor[] {
  const at = normalizeAxis("split", axis, x.rank);
  const size = x.shape[at]!;
  const sizes = typeof pieces === "number" ? new Array<number>(pieces).fill(size / pieces) : pieces;
  if (sizes.some((n) => !Number.isInteger(n) || n < 1) || sizes.reduce((p, q) => p + q, 0) !== size) {
    throw new ShapeError(
      `split: axis ${at} of ${showShape(x.shape)} has ${size} entries, which ${JSON.stringify(pieces)} does not cut into whole pieces.`,
    );
  }
  let end = 0;
  return sizes.map((n) => {
    end += n;
    return x.slice(at, end - n, end);
  });
}

/** Joins tensors of one shape along a new axis: n parts [a, b] at axis 0 give [n, a, b]; axis −1 gives [a, b, n]. */
export function stack(parts: readonly Tensor[], axis = 0): Tensor {
  if (parts.length === 0) throw new ShapeError("stack: at least one tensor is needed, but none came.");
  const at = normalizeAxis("stack", axis, parts[0]!.rank + 1);
  return concat(
    parts.map((x) => x.reshape(x.shape.toSpliced(at, 0, 1))),
    at,
  );
}
