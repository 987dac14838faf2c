import { ShapeError } from "../../core/errors.ts";
import { defineOperator } from "../operator.ts";
import { showShape, sizeOf } from "../shapes.ts";
import { apply, type Tensor } from "../tensor.ts";

/** Repeats every pixel of x [B,C,H,W] in a 2×2 block. */
export const upsample2x = (x: Tensor): Tensor => apply("upsample2x", [x]);
/** Sums 2×2 blocks of x [B,C,H,W]; H and W must be even. It is the transpose of `upsample2x`. */
export const sumPool2x = (x: Tensor): Tensor => apply("sumPool2x", [x]);
/** Mean of 2×2 blocks. */
export const avgPool2x = (x: Tensor): Tensor => sumPool2x(x).mul(0.25);

defineOperator({
  name: "upsample2x",
  shape([x]) {
    if (x!.rank !== 4) throw new ShapeError(`upsample2x: x must be [B,C,H,W], but ${showShape(x!.shape)} came.`);
    return [x!.shape[0]!, x!.shape[1]!, 2 * x!.shape[2]!, 2 * x!.shape[3]!];
  },
  reference([x], _, shape) {
    const [, , H, W] = shape as [number, number, number, number];
    return Float64Array.from({ length: sizeOf(shape) }, (_, i) => {
      const plane = Math.floor(i / (H * W));
      const row = Math.floor((i % (H * W)) / W);
      const column = i % W;
      return x!.data[(plane * (H / 2) + (row >> 1)) * (W / 2) + (column >> 1)]!;
    });
  },
  vjp: (_, v) => [sumPool2x(v)],
  emit: (e, [x]) =>
    e.node("Resize", [x!, "", e.floats([1, 1, 2, 2], [4])], {
      mode: "nearest",
      coordinate_transformation_mode: "asymmetric",
      nearest_mode: "floor",
    }),
  samples: () => [{ inputs: [{ shape: [2, 3, 2, 3] }] }],
});

defineOperator({
  name: "sumPool2x",
  shape([x]) {
    const [B, C, H, W] = x!.shape;
    if (x!.rank !== 4 || H! % 2 !== 0 || W! % 2 !== 0)
      throw new ShapeError(`sumPool2x: x must be [B,C,H,W] with even H and W, but ${showShape(x!.shape)} came.`);
    return [B!, C!, H! / 2, W! / 2];
  },
  reference([x], _, shape) {
    const [, , h, w] = shape as [number, number, number, number];
    const out = new Float64Array(sizeOf(shape));
    x!.data.forEach((value, i) => {
      const plane = Math.floor(i / (4 * h * w));
      const row = Math.floor((i % (4 * h * w)) / (2 * w));
      out[(plane * h + (row >> 1)) * w + ((i % (2 * w)) >> 1)]! += value;
    });
    return out;
  },
  vjp: (_, v) => [upsample2x(v)],
  emit: (e, [x]) =>
    e.node("Mul", [e.node("AveragePool", [x!], { kernel_shape: [2, 2], strides: [2, 2] }), e.floats([4], [])]),
  samples: () => [{ inputs: [{ shape: [2, 3, 4, 6] }] }],
});
