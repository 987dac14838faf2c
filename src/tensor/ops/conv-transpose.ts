import { ShapeError } from "../../core/errors.ts";
import { defineOperator, type Emitter } from "../operator.ts";
import { type Shape, sameShape, showShape, sizeOf } from "../shapes.ts";
import { apply, type Tensor } from "../tensor.ts";
import { attrsOf, type ConvOptions, convSamples, convShape, eachTerm, geometryOf, insertZeros } from "./conv-map.ts";
import { channelsLastRows, outputsByInputs, smallWithTrainedWeight, sumOfProducts } from "./conv-products.ts";

export interface ConvTransposeOptions extends ConvOptions {
  /** Rows and columns added below and right, to tell apart the sizes that a strided convolution maps to one. */
  outputPadding?: number;
}

/**
 * Transposed convolution of y [B,O,H,W] with w [O,C/groups,kh,kw], plus bias [C] → [B,C,H',W'], the adjoint of `conv2d`
 * with the same options: H' = (H − 1)·stride − 2·padding + dilation·(kh − 1) + 1 + outputPadding.
 */
export function convTranspose2d(
  y: Tensor,
  w: Tensor,
  { outputPadding = 0, ...options }: ConvTransposeOptions = {},
  bias?: Tensor,
): Tensor {
  const geometry = geometryOf(options);
  const { stride, padding, dilation } = geometry;
  if (outputPadding < 0 || outputPadding >= stride) {
    throw new ShapeError(
      `convTranspose2d: outputPadding must lie in [0, stride ${stride}), but ${outputPadding} came.`,
    );
  }
  const size = [2, 3].map(
    (axis) => (y.shape[axis]! - 1) * stride - 2 * padding + dilation * (w.shape[axis]! - 1) + 1 + outputPadding,
  );
  const x = apply("conv2dInput", [y, w], { ...geometry, size });
  return bias ? x.add(bias.reshape([x.shape[1]!, 1, 1])) : x;
}

defineOperator({
  name: "conv2dInput",
  shape([y, w], attrs) {
    const { size, groups } = attrsOf(attrs);
    const shape = [y!.shape[0]!, w!.shape[1]! * groups, ...size];
    const fits = shape.every((d) => d > 0) && sameShape(convShape(shape, w!.shape, attrsOf(attrs)), y!.shape);
    if (!fits) {
      throw new ShapeError(
        `conv2dInput: y [B,O,H',W'] and w [O,C/groups,kh,kw] must share O, and a convolution of ${showShape(shape)} must give y, but ${showShape(y!.shape)} and ${showShape(w!.shape)} came.`,
      );
    }
    return shape;
  },
  reference([y, w], attrs, shape) {
    const out = new Float64Array(sizeOf(shape));
    eachTerm(shape, w!.shape, y!.shape, attrsOf(attrs), (i, j, o) => {
      out[i]! += y!.data[o]! * w!.data[j]!;
    });
    return out;
  },
  vjp({ inputs, attrs }, v) {
    const [y, w] = inputs as [Tensor, Tensor];
    const geometry = geometryOf(attrsOf(attrs));
    return [apply("conv2d", [v, w], geometry), apply("conv2dWeight", [v, y], { ...geometry, size: w.shape.slice(2) })];
  },
  emit(e, [y, w], { inputs, attrs, output }) {
    const [dy, weight] = inputs as [Tensor, Tensor];
    const { stride, padding, dilation, groups, size } = attrsOf(attrs);
    const [O, C, kh, kw] = weight.shape as [number, number, number, number];
    // Rows and columns that the first tap of the flipped kernel lies above and left of y.
    const before: [number, number] = [dilation * (kh - 1) - padding, dilation * (kw - 1) - padding];
    const square = kh === kw && before[0] >= 0;
    if (groups === 1 && stride === 1 && square && smallWithTrainedWeight(e, w!, [kh, kw], output.shape)) {
      // Windows of y in reversed order meet the kernel as it is, instead of windows in order meeting it flipped.
      const cut = { stride: 1, padding: before[0], dilation, reversed: true };
      const rows = channelsLastRows(e, y!, dy.shape, [kh, kw], cut, size);
      const byTap = outputsByInputs(e, w!, weight.shape);
      return sumOfProducts(e, rows.reverse(), byTap, O * kw, output.shape);
    }
    if (e.isConstant(w!) && !e.constantData(w!)) {
      // A weight that lies in a file is used as it is: flipping would make a copy that no other program shares.
      const beyond = (axis: 0 | 1, kernel: number) =>
        size[axis] - ((dy.shape[2 + axis]! - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1);
      return e.node("ConvTranspose", [y!, w!], {
        kernel_shape: [kh, kw],
        strides: [stride, stride],
        pads: [padding, padding, padding, padding],
        output_padding: [beyond(0, kh), beyond(1, kw)],
        dilations: [dilation, dilation],
        group: groups,
      });
    }
    // x[u] = Σ_k y'[u + p − d·k] w[k], y' = y with s − 1 zeros between entries: a stride-1 correlation with the flipped
    // kernel, padded by d(k−1)−p before and by whatever is missing up to the size of x after.
    const flipped = flipKernel(e, w!, [groups, O / groups, C, kh, kw]);
    const spread = insertZeros(e, y!, dy.shape, [stride, stride]);
    const missing = (axis: 0 | 1, kernel: number) =>
      size[axis] - dy.shape[2 + axis]! * stride + dilation * (kernel - 1) - before[axis];
    const pads = [...before, missing(0, kh), missing(1, kw)];
    return emitPaddedConv(e, spread, flipped, pads, {
      kernel_shape: [kh, kw],
      dilations: [dilation, dilation],
      group: groups,
    });
  },
  samples: () => convSamples((_, w, y) => [y, w], "x"),
});

/** Stride-1 convolution with explicit pads; negative pads crop. */
function emitPaddedConv(
  e: Emitter,
  x: string,
  w: string,
  pads: readonly number[],
  attrs: Readonly<Record<string, number | number[]>>,
): string {
  if (pads.every((p) => p >= 0)) return e.node("Conv", [x, w], { ...attrs, pads });
  const [top, left, bottom, right] = pads as [number, number, number, number];
  const cropped = e.node("Pad", [x, e.ints([0, 0, top, left, 0, 0, bottom, right])]);
  return e.node("Conv", [cropped, w], { ...attrs, pads: [0, 0, 0, 0] });
}

/** w[g·O+o,c,k,l] → w[g·C+c,o,kh−1−k,kw−1−l] in each group g; done at once when the weight is a constant of the graph. */
function flipKernel(e: Emitter, w: string, shape: Shape): string {
  const [groups, O, C, kh, kw] = shape as [number, number, number, number, number];
  const taps = kh * kw;
  return e.shared(`flip:${w}:${groups}`, () => {
    const frozen = e.constantData(w);
    if (frozen) {
      const out = new Float32Array(frozen.length);
      for (let g = 0; g < groups; g++)
        for (let o = 0; o < O; o++)
          for (let c = 0; c < C; c++)
            for (let t = 0; t < taps; t++)
              out[((g * C + c) * O + o) * taps + t] = frozen[((g * O + o) * C + c) * taps + taps - 1 - t]!;
      return e.constant(out, [groups * C, O, kh, kw]);
    }
    const swapped =
      groups === 1
        ? e.node("Transpose", [w], { perm: [1, 0, 2, 3] })
        : e.node("Transpose", [e.node("Reshape", [w, e.ints([groups, O, C, taps])])], { perm: [0, 2, 1, 3] });
    if (groups === 1 && taps === 1) return swapped;
    const flat = e.node("Reshape", [swapped, e.ints([groups * C * O, taps])]);
    // Reversing the taps as a product with the exchange matrix: much faster than Gather.
    const exchange = Array.from({ length: taps * taps }, (_, k) =>
      Number(k % taps === taps - 1 - Math.floor(k / taps)),
    );
    const reversed = e.node("MatMul", [flat, e.floats(exchange, [taps, taps])]);
    return e.node("Reshape", [reversed, e.ints([groups * C, O, kh, kw])]);
  });
}
