import { ShapeError } from "../../core/errors.ts";
import type { Attrs, OperatorSample } from "../operator.ts";
import { type Shape, showShape } from "../shapes.ts";

/** Rows and columns; one number stands for both. */
export type Extent = number | readonly [number, number];

export interface PoolOptions {
  /** Size of a window. */
  kernel: Extent;
  /** Distance between neighbouring windows; the kernel when omitted, so that windows tile the image. */
  stride?: Extent;
  /** Rows and columns added on each side: zeros of an average, never picked as the largest. At most half the kernel. */
  padding?: Extent;
}

export interface PoolGeometry {
  kernel: readonly [number, number];
  stride: readonly [number, number];
  padding: readonly [number, number];
}
export const poolAttrs = (attrs: Attrs) => attrs as unknown as PoolGeometry & { size: readonly [number, number] };

const pair = (extent: Extent): readonly [number, number] => (typeof extent === "number" ? [extent, extent] : extent);

export const poolGeometryOf = ({ kernel, stride = kernel, padding = 0 }: PoolOptions) => ({
  kernel: pair(kernel),
  stride: pair(stride),
  padding: pair(padding),
});

/** The same as ONNX attributes. */
export const poolNodeAttrs = ({ kernel, stride, padding }: PoolGeometry) => ({
  kernel_shape: kernel,
  strides: stride,
  pads: [...padding, ...padding],
});

/** x [B,C,H,W] → [B,C,H',W'], H' = ⌊(H + 2p − k)/s⌋ + 1. */
export function poolShape(operator: string, x: Shape, { kernel, stride, padding }: PoolGeometry): number[] {
  const along = (axis: 0 | 1) => Math.floor((x[2 + axis]! + 2 * padding[axis] - kernel[axis]) / stride[axis]) + 1;
  if (x.length !== 4 || padding.some((p, axis) => 2 * p > kernel[axis]!) || along(0) < 1 || along(1) < 1) {
    throw new ShapeError(
      `${operator}: x must be [B,C,H,W], the padding at most half the kernel, and the kernel must fit, but ${showShape(x)} came with kernel ${showShape(kernel)} and padding ${showShape(padding)}.`,
    );
  }
  return [x[0]!, x[1]!, along(0), along(1)];
}

/** Calls `visit` with every window's flat index into y and the flat indices into x that it sees, in reading order. */
export function eachWindow(
  x: Shape,
  y: Shape,
  { kernel, stride, padding }: PoolGeometry,
  visit: (o: number, seen: readonly number[]) => void,
): void {
  const [, , H, W] = x as [number, number, number, number];
  const [B, C, Ho, Wo] = y as [number, number, number, number];
  for (let plane = 0; plane < B * C; plane++)
    for (let i = 0; i < Ho; i++)
      for (let j = 0; j < Wo; j++) {
        const seen: number[] = [];
        for (let k = 0; k < kernel[0]; k++)
          for (let l = 0; l < kernel[1]; l++) {
            const u = stride[0] * i + k - padding[0];
            const v = stride[1] * j + l - padding[1];
            if (u >= 0 && u < H && v >= 0 && v < W) seen.push((plane * H + u) * W + v);
          }
        visit((plane * Ho + i) * Wo + j, seen);
      }
}

/** Image shapes and options of the contract samples: tiling, overlapping, padded, uneven, with gaps, the whole image. */
export const poolSamples = (sample: (x: Shape, geometry: PoolGeometry) => OperatorSample): OperatorSample[] =>
  (
    [
      [[2, 3, 4, 6], { kernel: 2 }],
      [[1, 2, 6, 5], { kernel: 3, stride: 2, padding: 1 }],
      [[1, 2, 5, 4], { kernel: 2, stride: 1 }],
      [[2, 1, 5, 7], { kernel: [3, 2], stride: [1, 2], padding: [1, 0] }],
      [[1, 1, 7, 8], { kernel: 2, stride: 3 }],
      [[2, 2, 3, 4], { kernel: [3, 4] }],
    ] as [Shape, PoolOptions][]
  ).map(([x, options]) => sample(x, poolGeometryOf(options)));
