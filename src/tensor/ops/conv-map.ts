import { ShapeError } from "../../core/errors.ts";
import type { Attrs, Emitter, OperatorSample } from "../operator.ts";
import { type Shape, showShape } from "../shapes.ts";

/*
 * Three bilinear maps that are each other's derivatives. x [B,C,H,W], w [O,C/g,kh,kw], y [B,O,H',W'], s = stride,
 * p = padding, d = dilation, g = groups; c runs over the C/g channels of the group of o, which start at γ = ⌊o·g/O⌋·C/g:
 *   conv2d        y[b,o,i,j]     = Σ_{c,k,l} x[b,γ+c,u,v] w[o,c,k,l]     with u = s·i + d·k − p, v = s·j + d·l − p
 *   conv2dInput   x[b,γ+c,u,v]   = Σ_{o,k,l} y[b,o,i,j] w[o,c,k,l]
 *   conv2dWeight  w[o,c,k,l]     = Σ_{b,i,j} y[b,o,i,j] x[b,γ+c,u,v]
 */
export interface ConvOptions {
  stride?: number;
  /** Zeros on each of the four sides. */
  padding?: number;
  /** Distance between neighbouring taps of the kernel. */
  dilation?: number;
  /** Channels fall into this many groups that do not see each other; as many as channels is a depthwise convolution. */
  groups?: number;
}

export interface ConvGeometry {
  stride: number;
  padding: number;
  dilation: number;
  groups: number;
}
interface ConvAttrs extends ConvGeometry {
  /** Height and width of x (conv2dInput) or of the kernel (conv2dWeight). */
  size: readonly [number, number];
}
export const attrsOf = (attrs: Attrs) => attrs as unknown as ConvAttrs;

/** Attributes of a convolution, those left out at their defaults. */
export const geometryOf = ({ stride = 1, padding = 0, dilation = 1, groups = 1 }: Partial<ConvGeometry>) => ({
  stride,
  padding,
  dilation,
  groups,
});

/** H' = ⌊(H + 2p − d(kh − 1) − 1)/s⌋ + 1 and the same for W', checked together with the channels. */
export function convShape(x: Shape, w: Shape, { stride, padding, dilation, groups }: ConvGeometry): number[] {
  if (x.length !== 4 || w.length !== 4 || x[1] !== w[1]! * groups || w[0]! % groups !== 0) {
    throw new ShapeError(
      `conv2d: x [B,C,H,W] and w [O,C/groups,kh,kw] must share C, and groups must divide O, but ${showShape(x)} and ${showShape(w)} came with ${groups} groups.`,
    );
  }
  const along = (axis: number) => Math.floor((x[axis]! + 2 * padding - dilation * (w[axis]! - 1) - 1) / stride) + 1;
  const shape = [x[0]!, w[0]!, along(2), along(3)];
  if (shape[2]! < 1 || shape[3]! < 1) {
    throw new ShapeError(
      `conv2d: the kernel of w ${showShape(w)} with dilation ${dilation} must fit into x ${showShape(x)} with padding ${padding}.`,
    );
  }
  return shape;
}

/** Visits every product term of the three maps with flat indices into x, w and y. */
export function eachTerm(
  x: Shape,
  w: Shape,
  y: Shape,
  { stride, padding, dilation, groups }: ConvGeometry,
  visit: (i: number, j: number, o: number) => void,
): void {
  const [, C, H, W] = x as [number, number, number, number];
  const [O, perGroup, kh, kw] = w as [number, number, number, number];
  const [B, , Ho, Wo] = y as [number, number, number, number];
  for (let b = 0; b < B; b++)
    for (let o = 0; o < O; o++) {
      const first = Math.floor((o * groups) / O) * perGroup;
      for (let i = 0; i < Ho; i++)
        for (let j = 0; j < Wo; j++)
          for (let c = 0; c < perGroup; c++)
            for (let k = 0; k < kh; k++)
              for (let l = 0; l < kw; l++) {
                const u = stride * i + dilation * k - padding;
                const v = stride * j + dilation * l - padding;
                if (u < 0 || u >= H || v < 0 || v >= W) continue;
                visit(
                  ((b * C + first + c) * H + u) * W + v,
                  ((o * perGroup + c) * kh + k) * kw + l,
                  ((b * O + o) * Ho + i) * Wo + j,
                );
              }
    }
}

/** Contract samples of the three maps: `operands` picks two of x, w and y, `size` names the one that is computed. */
export const convSamples = (
  operands: (x: Shape, w: Shape, y: Shape) => [Shape, Shape],
  size: "x" | "w" | "none",
): OperatorSample[] =>
  (
    [
      [[2, 3, 5, 4], [2, 3, 3, 3], { padding: 1 }],
      [[1, 2, 6, 6], [3, 2, 3, 3], { stride: 2, padding: 1 }],
      [[2, 2, 3, 3], [4, 2, 1, 1], {}],
      [[1, 2, 5, 5], [2, 2, 2, 2], {}],
      [[1, 1, 7, 6], [2, 1, 3, 3], { stride: 2, padding: 1 }],
      [[2, 4, 5, 4], [6, 2, 3, 3], { padding: 1, groups: 2 }],
      [[2, 3, 5, 6], [3, 1, 3, 2], { stride: 2, padding: 1, groups: 3 }], // depthwise
      [[1, 2, 5, 5], [4, 1, 2, 2], { groups: 2, dilation: 2 }],
      [[2, 2, 7, 6], [3, 2, 3, 3], { padding: 2, dilation: 2 }],
      [[1, 2, 9, 8], [2, 2, 3, 2], { stride: 2, padding: 1, dilation: 3 }],
      [[1, 2, 3, 4], [2, 2, 2, 2], { padding: 2 }],
      [[1, 2, 9, 10], [1, 2, 3, 3], { padding: 2, dilation: 2 }], // more positions than a small image has
    ] as [Shape, Shape, ConvOptions][]
  ).map(([x, w, options]) => {
    const geometry = geometryOf(options);
    return {
      inputs: operands(x, w, convShape(x, w, geometry)).map((shape) => ({ shape, low: -1, high: 1 })),
      attrs: { ...geometry, ...(size === "none" ? {} : { size: (size === "x" ? x : w).slice(2) }) },
    };
  });

/** Puts s − 1 zeros after every row and column of y [B,O,H,W], an image of stride s: [B,O,s·H,s·W]. */
export function insertZeros(e: Emitter, y: string, shape: Shape, [down, across]: readonly [number, number]): string {
  if (down === 1 && across === 1) return y;
  const [B, O, H, W] = shape as [number, number, number, number];
  const split = e.node("Reshape", [y, e.ints([B, O, H, 1, W, 1])]);
  const padded = e.node("Pad", [split, e.ints([0, 0, 0, 0, 0, 0, 0, 0, 0, down - 1, 0, across - 1])]);
  return e.node("Reshape", [padded, e.ints([B, O, H * down, W * across])]);
}
