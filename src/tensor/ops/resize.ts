import { ShapeError } from "../../core/errors.ts";
import { type Attrs, defineOperator, type Emitter } from "../operator.ts";
import { type Shape, showShape, sizeOf } from "../shapes.ts";
import { apply, type Tensor } from "../tensor.ts";
import { type Interpolation, resizeWeights } from "./resize-weights.ts";

export interface ResizeOptions {
  /** How values between pixels are found; "bilinear" when omitted. */
  mode?: Interpolation;
  /** Widens the kernel when shrinking, so that every pixel counts: for "bilinear" and "bicubic". */
  antialias?: boolean;
}

/**
 * Resamples x [B,C,H,W] to [B,C,H',W'], as PyTorch's interpolate with align_corners=False. It is the product
 * R(H→H')·x·R(W→W')ᵀ with constant matrices, whose derivative is the transposed product: both run on every backend. For a
 * plain doubling `upsample2x` is faster.
 */
export function resize(
  x: Tensor,
  size: readonly [number, number],
  { mode = "bilinear", antialias = false }: ResizeOptions = {},
): Tensor {
  if (antialias && mode === "nearest")
    throw new ShapeError(`resize: "nearest" takes one pixel and cannot be antialiased. Use "bilinear" or "bicubic".`);
  if (x.rank !== 4 || size.some((n) => !Number.isInteger(n) || n < 1)) {
    throw new ShapeError(
      `resize: x must be [B,C,H,W] and the size two positive integers, but ${showShape(x.shape)} and ${showShape(size)} came.`,
    );
  }
  return apply("resize", [x], { from: x.shape.slice(2), to: size, mode, antialias });
}

interface ResizeAttrs {
  /** Height and width before and after. */
  from: readonly [number, number];
  to: readonly [number, number];
  mode: Interpolation;
  antialias: boolean;
}
const attrsOf = (attrs: Attrs) => attrs as unknown as ResizeAttrs;

/** The matrix R of one axis, its transpose for the adjoint, and the shape it has. */
function matrixOf(attrs: Attrs, axis: 0 | 1, transposed: boolean): { values: Float64Array; shape: Shape } {
  const { from, to, mode, antialias } = attrsOf(attrs);
  const [rows, columns] = [to[axis], from[axis]];
  const values = resizeWeights(columns, rows, mode, antialias);
  if (!transposed) return { values, shape: [rows, columns] };
  return { values: values.map((_, k) => values[(k % rows) * columns + Math.floor(k / rows)]!), shape: [columns, rows] };
}

/** Σ_{h,w} L[i,h] x[plane,h,w] Rᵀ[w,j], the float64 reference of both operators. */
function bothSides(x: { shape: Shape; data: Float64Array }, attrs: Attrs, shape: Shape, adjoint: boolean) {
  const left = matrixOf(attrs, 0, adjoint).values;
  const right = matrixOf(attrs, 1, adjoint).values;
  const [, , H, W] = x.shape as [number, number, number, number];
  const [, , Ho, Wo] = shape as [number, number, number, number];
  return Float64Array.from({ length: sizeOf(shape) }, (_, o) => {
    const plane = Math.floor(o / (Ho * Wo));
    const [i, j] = [Math.floor(o / Wo) % Ho, o % Wo];
    let sum = 0;
    for (let h = 0; h < H; h++) {
      const weight = left[i * H + h]!;
      if (weight === 0) continue;
      for (let w = 0; w < W; w++) sum += weight * x.data[(plane * H + h) * W + w]! * right[j * W + w]!;
    }
    return sum;
  });
}

/** The two products, an axis that keeps its size left out. */
function emitBothSides(e: Emitter, x: string, attrs: Attrs, adjoint: boolean): string {
  const { from, to, mode, antialias } = attrsOf(attrs);
  const matrix = (axis: 0 | 1, transposed: boolean) =>
    e.shared(`resize:${from[axis]}:${to[axis]}:${mode}:${antialias}:${transposed}`, () => {
      const { values, shape } = matrixOf(attrs, axis, transposed);
      return e.constant(Float32Array.from(values), shape);
    });
  const across = from[1] === to[1] ? x : e.node("MatMul", [x, matrix(1, !adjoint)]);
  return from[0] === to[0] ? across : e.node("MatMul", [matrix(0, adjoint), across]);
}

for (const [name, adjoint] of [
  ["resize", "resizeAdjoint"],
  ["resizeAdjoint", "resize"],
] as const) {
  const backwards = name === "resizeAdjoint";
  defineOperator({
    name,
    shape: ([x], attrs) => [...x!.shape.slice(0, 2), ...attrsOf(attrs)[backwards ? "from" : "to"]],
    reference: ([x], attrs, shape) => bothSides(x!, attrs, shape, backwards),
    vjp: ({ attrs }, v) => [apply(adjoint, [v], attrs)],
    emit: (e, [x], { attrs }) => emitBothSides(e, x!, attrs, backwards),
    samples: () =>
      (
        [
          { from: [5, 4], to: [3, 7], mode: "nearest", antialias: false },
          { from: [5, 4], to: [8, 3], mode: "bilinear", antialias: false },
          { from: [4, 7], to: [6, 3], mode: "bicubic", antialias: false },
          { from: [7, 5], to: [3, 5], mode: "bilinear", antialias: true },
          { from: [9, 3], to: [4, 6], mode: "bicubic", antialias: true },
        ] as const
      ).map((attrs) => ({ inputs: [{ shape: [2, 2, ...(backwards ? attrs.to : attrs.from)] }], attrs })),
  });
}
