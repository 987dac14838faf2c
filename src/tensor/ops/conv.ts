import { ShapeError } from "../../core/errors.ts";
import { type Attrs, defineOperator, type Emitter, type OperatorSample } from "../operator.ts";
import { type Shape, showShape, sizeOf } from "../shapes.ts";
import { apply, type Tensor } from "../tensor.ts";

/*
 * Three bilinear maps that are each other's derivatives (x [B,C,H,W], w [O,C,kh,kw], y [B,O,H',W'], p = padding, s = stride):
 *   conv2d        y[b,o,i,j]     = Σ_{c,k,l} x[b,c, s·i+k−p, s·j+l−p] w[o,c,k,l]
 *   conv2dInput   x[b,c,u,v]     = Σ_{o,k,l} y[b,o,i,j] w[o,c,k,l]         over s·i+k−p = u, s·j+l−p = v
 *   conv2dWeight  w[o,c,k,l]     = Σ_{b,i,j} y[b,o,i,j] x[b,c, s·i+k−p, s·j+l−p]
 */
export interface ConvOptions {
  stride?: number;
  padding?: number;
}

/** Cross-correlation of x [B,C,H,W] with w [O,C,kh,kw], plus bias [O] → [B,O,H',W'], H' = ⌊(H + 2p − kh)/s⌋ + 1. */
export const conv2d = (x: Tensor, w: Tensor, { stride = 1, padding = 0 }: ConvOptions = {}, bias?: Tensor): Tensor =>
  apply("conv2d", bias ? [x, w, bias] : [x, w], { stride, padding });

interface ConvAttrs {
  stride: number;
  padding: number;
  /** Height and width of x (conv2dInput) or of the kernel (conv2dWeight). */
  size: readonly [number, number];
}
const attrsOf = (attrs: Attrs) => attrs as unknown as ConvAttrs;
const outSize = (size: number, kernel: number, { stride, padding }: ConvAttrs) =>
  Math.floor((size + 2 * padding - kernel) / stride) + 1;

/** Visits every product term of the three maps with flat indices into x, w and y. */
function eachTerm(x: Shape, w: Shape, y: Shape, attrs: ConvAttrs, visit: (i: number, j: number, o: number) => void) {
  const [, C, H, W] = x as [number, number, number, number];
  const [O, , kh, kw] = w as [number, number, number, number];
  const [B, , Ho, Wo] = y as [number, number, number, number];
  for (let b = 0; b < B; b++)
    for (let o = 0; o < O; o++)
      for (let i = 0; i < Ho; i++)
        for (let j = 0; j < Wo; j++)
          for (let c = 0; c < C; c++)
            for (let k = 0; k < kh; k++)
              for (let l = 0; l < kw; l++) {
                const u = attrs.stride * i + k - attrs.padding;
                const v = attrs.stride * j + l - attrs.padding;
                if (u < 0 || u >= H || v < 0 || v >= W) continue;
                visit(((b * C + c) * H + u) * W + v, ((o * C + c) * kh + k) * kw + l, ((b * O + o) * Ho + i) * Wo + j);
              }
}

const convSamples = (
  shapes: (x: Shape, w: Shape, y: Shape) => [Shape, Shape],
  size: "x" | "w" | "none",
): OperatorSample[] =>
  (
    [
      [[2, 3, 5, 4], [2, 3, 3, 3], [2, 2, 5, 4], 1, 1],
      [[1, 2, 6, 6], [3, 2, 3, 3], [1, 3, 3, 3], 2, 1],
      [[2, 2, 3, 3], [4, 2, 1, 1], [2, 4, 3, 3], 1, 0],
      [[1, 2, 5, 5], [2, 2, 2, 2], [1, 2, 4, 4], 1, 0],
      [[1, 1, 7, 6], [2, 1, 3, 3], [1, 2, 4, 3], 2, 1],
    ] as [Shape, Shape, Shape, number, number][]
  ).map(([x, w, y, stride, padding]) => ({
    inputs: shapes(x, w, y).map((shape) => ({ shape, low: -1, high: 1 })),
    attrs: { stride, padding, ...(size === "none" ? {} : { size: (size === "x" ? x : w).slice(2) }) },
  }));

defineOperator({
  name: "conv2d",
  shape([x, w, bias], attrs) {
    if (bias && bias.size !== w!.shape[0]) {
      throw new ShapeError(
        `conv2d: w ${showShape(w!.shape)} needs a bias of ${w!.shape[0]} values, but ${showShape(bias.shape)} came.`,
      );
    }
    if (x!.rank !== 4 || w!.rank !== 4 || x!.shape[1] !== w!.shape[1]) {
      throw new ShapeError(
        `conv2d: x [B,C,H,W] and w [O,C,kh,kw] must share C, but ${showShape(x!.shape)} and ${showShape(w!.shape)} came.`,
      );
    }
    const a = attrsOf(attrs);
    return [x!.shape[0]!, w!.shape[0]!, outSize(x!.shape[2]!, w!.shape[2]!, a), outSize(x!.shape[3]!, w!.shape[3]!, a)];
  },
  reference([x, w, bias], attrs, shape) {
    const [, O, H, W] = shape as [number, number, number, number];
    const out = Float64Array.from({ length: sizeOf(shape) }, (_, o) => bias?.data[Math.floor(o / (H * W)) % O] ?? 0);
    eachTerm(x!.shape, w!.shape, shape, attrsOf(attrs), (i, j, o) => {
      out[o]! += x!.data[i]! * w!.data[j]!;
    });
    return out;
  },
  vjp({ inputs, attrs }, v) {
    const [x, w] = inputs as [Tensor, Tensor];
    const { stride, padding } = attrsOf(attrs);
    return [
      apply("conv2dInput", [v, w], { stride, padding, size: x.shape.slice(2) }),
      apply("conv2dWeight", [x, v], { stride, padding, size: w.shape.slice(2) }),
      ...(inputs.length === 3 ? [v.sum([0, 2, 3])] : []),
    ];
  },
  emit(e, operands, { inputs, attrs, output }) {
    const { stride, padding } = attrsOf(attrs);
    const kernel = inputs[1]!.shape.slice(2);
    if (smallWithTrainedWeight(e, operands[1]!, kernel, output.shape)) {
      const [x, w, bias] = operands as [string, string, string?];
      const rows = channelsLastRows(e, x, inputs[0]!.shape, kernel, attrsOf(attrs), output.shape.slice(2));
      const weight = e.node("Transpose", [w], { perm: [2, 3, 1, 0] }); // [kh, kw, C, O]
      return sumOfProducts(e, rows, weight, inputs[1]!.shape[1]! * kernel[1]!, output.shape, bias);
    }
    return e.node("Conv", operands, {
      kernel_shape: kernel,
      strides: [stride, stride],
      pads: [padding, padding, padding, padding],
    });
  },
  samples: () => {
    const plain = convSamples((x, w) => [x, w], "none");
    return [
      ...plain,
      ...plain.slice(0, 2).map((s) => ({ ...s, inputs: [...s.inputs, { shape: [s.inputs[1]!.shape[0]!] }] })),
    ];
  },
});

defineOperator({
  name: "conv2dInput",
  shape: ([y, w], attrs) => [y!.shape[0]!, w!.shape[1]!, ...attrsOf(attrs).size],
  reference([y, w], attrs, shape) {
    const out = new Float64Array(sizeOf(shape));
    eachTerm(shape, w!.shape, y!.shape, attrsOf(attrs), (i, j, o) => {
      out[i]! += y!.data[o]! * w!.data[j]!;
    });
    return out;
  },
  vjp({ inputs, attrs }, v) {
    const [y, w] = inputs as [Tensor, Tensor];
    const { stride, padding } = attrsOf(attrs);
    return [
      apply("conv2d", [v, w], { stride, padding }),
      apply("conv2dWeight", [v, y], { stride, padding, size: w.shape.slice(2) }),
    ];
  },
  emit(e, [y, w], { inputs, attrs, output }) {
    const [dy, weight] = inputs as [Tensor, Tensor];
    const { stride, padding, size } = attrsOf(attrs);
    const [O, C, kh, kw] = weight.shape as [number, number, number, number];
    if (stride === 1 && kh === kw && smallWithTrainedWeight(e, w!, [kh, kw], output.shape)) {
      // Windows of y in reversed order meet the kernel as it is, instead of windows in order meeting it flipped.
      const cut = { stride: 1, padding: kh - 1 - padding, reversed: true };
      const rows = channelsLastRows(e, y!, dy.shape, [kh, kw], cut, size);
      const kernel = e.node("Transpose", [w!], { perm: [2, 3, 0, 1] }); // [kh, kw, O, C]
      return sumOfProducts(e, rows.reverse(), kernel, O * kw, output.shape);
    }
    const flipped = flipKernel(e, w!, [O, C, kh, kw]);
    // x[u] = Σ_k y'[u + p − k] w[k], y' = y with s − 1 zeros between entries: a stride-1 correlation with the flipped
    // kernel, padded by k−1−p before and by whatever is missing up to the size of x after.
    const spread = stride === 1 ? y! : insertZeros(e, y!, dy.shape, stride);
    const [Hs, Ws] = [dy.shape[2]! * stride, dy.shape[3]! * stride];
    const before: [number, number] = [kh - 1 - padding, kw - 1 - padding];
    const after: [number, number] = [size[0] - Hs + kh - 1 - before[0], size[1] - Ws + kw - 1 - before[1]];
    return emitPaddedConv(e, spread, flipped, [kh, kw], before, after);
  },
  samples: () => convSamples((_, w, y) => [y, w], "x"),
});

defineOperator({
  name: "conv2dWeight",
  shape: ([x, y], attrs) => [y!.shape[1]!, x!.shape[1]!, ...attrsOf(attrs).size],
  reference([x, y], attrs, shape) {
    const out = new Float64Array(sizeOf(shape));
    eachTerm(x!.shape, shape, y!.shape, attrsOf(attrs), (i, j, o) => {
      out[j]! += x!.data[i]! * y!.data[o]!;
    });
    return out;
  },
  vjp({ inputs, attrs }, v) {
    const [x, y] = inputs as [Tensor, Tensor];
    const { stride, padding } = attrsOf(attrs);
    return [
      apply("conv2dInput", [y, v], { stride, padding, size: x.shape.slice(2) }),
      apply("conv2d", [x, v], { stride, padding }),
    ];
  },
  emit(e, [x, y], { inputs, attrs, output }) {
    const [O, C, kh, kw] = output.shape as [number, number, number, number];
    const [B, , Ho, Wo] = inputs[1]!.shape as [number, number, number, number];
    // One product [kw·C, positions] · [positions, O] per kernel row.
    const targets = e.node("Reshape", [channelsLast(e, y!), e.ints([B * Ho * Wo, O])]);
    const rows = channelsLastRows(e, x!, inputs[0]!.shape, [kh, kw], attrsOf(attrs), [Ho, Wo]);
    const parts = rows.map((row) =>
      e.node("Reshape", [e.node("Gemm", [row, targets], { transA: 1 }), e.ints([1, kw, C, O])]),
    );
    const stacked = kh === 1 ? parts[0]! : e.node("Concat", parts, { axis: 0 }); // [kh, kw, C, O]
    return e.node("Transpose", [stacked], { perm: [3, 2, 0, 1] });
  },
  samples: () => convSamples((x, _, y) => [x, y], "w"),
});

const channelsLast = (e: Emitter, x: string) => e.node("Transpose", [x], { perm: [0, 2, 3, 1] });

/**
 * What each kernel row sees, channels last: kh matrices [B·Ho·Wo, kw·C]. The kw column shifts are cut first and joined
 * along channels, so that the row shifts are long contiguous copies. Forward pass and weight gradient share them.
 */
function channelsLastRows(
  e: Emitter,
  x: string,
  [B, C, H, W]: Shape,
  [kh, kw]: Shape,
  { stride, padding: p, reversed = false }: { stride: number; padding: number; reversed?: boolean },
  [Ho, Wo]: Shape,
): string[] {
  const window = (name: string, axis: number, start: number, count: number, whole: number) =>
    start === 0 && stride === 1 && count === whole
      ? name
      : e.node("Slice", [
          name,
          e.ints([start]),
          e.ints([start + (count - 1) * stride + 1]),
          e.ints([axis]),
          e.ints([stride]),
        ]);
  let source = channelsLast(e, x);
  if (p > 0) source = e.node("Pad", [source, e.ints([0, p, p, 0, 0, p, p, 0])]);
  const shifts = Array.from({ length: kw! }, (_, l) => window(source, 2, l, Wo!, W! + 2 * p));
  if (reversed) shifts.reverse();
  const joined = kw === 1 ? shifts[0]! : e.node("Concat", shifts, { axis: 3 });
  const rows = e.node("Reshape", [joined, e.ints([B!, H! + 2 * p, Wo! * kw! * C!])]);
  return Array.from({ length: kh! }, (_, k) =>
    e.node("Reshape", [window(rows, 1, k, Ho!, H! + 2 * p), e.ints([B! * Ho! * Wo!, kw! * C!])]),
  );
}

/** Σ_k rows[k]·kernel[k] (+ bias) back in channels-first order; kernel [kh, kw, in, out], `inner` = kw·in. */
function sumOfProducts(
  e: Emitter,
  rows: readonly string[],
  kernel: string,
  inner: number,
  [B, O, H, W]: Shape,
  bias?: string,
): string {
  const matrices = e.node("Reshape", [kernel, e.ints([rows.length, inner, O!])]);
  let sum = bias;
  rows.forEach((row, k) => {
    const slice = rows.length === 1 ? matrices : e.node("Slice", [matrices, e.ints([k]), e.ints([k + 1]), e.ints([0])]);
    const matrix = e.node("Reshape", [slice, e.ints([inner, O!])]);
    sum = e.node("Gemm", sum === undefined ? [row, matrix] : [row, matrix, sum]);
  });
  const image = e.node("Reshape", [sum!, e.ints([B!, H!, W!, O!])]);
  return e.node("Transpose", [image], { perm: [0, 3, 1, 2] });
}

/**
 * Whether a convolution is faster as products over the whole batch: ONNX Runtime's Conv multiplies image by image, which
 * is slow for few positions, and has a fast blocked layout for constant weights only.
 */
const smallWithTrainedWeight = (e: Emitter, weight: string, kernel: Shape, output: Shape): boolean =>
  e.constantData(weight) === undefined && kernel[0] !== 1 && output[2]! * output[3]! <= SMALL_IMAGE;
const SMALL_IMAGE = 64;

/** Stride-1 convolution with explicit pads; negative pads crop. */
function emitPaddedConv(
  e: Emitter,
  x: string,
  w: string,
  kernel: readonly [number, number],
  before: readonly [number, number],
  after: readonly [number, number],
): string {
  const pads = [...before, ...after];
  let source = x;
  if (pads.some((p) => p < 0)) {
    source = e.node("Pad", [x, e.ints([0, 0, ...before, 0, 0, ...after])]);
    pads.fill(0);
  }
  return e.node("Conv", [source, w], { kernel_shape: [...kernel], strides: [1, 1], pads });
}

/** w[o,c,k,l] → w[c,o,kh−1−k,kw−1−l]; done at once when the weight is a constant of the graph. */
function flipKernel(e: Emitter, w: string, shape: readonly [number, number, number, number]): string {
  const [O, C, kh, kw] = shape;
  const taps = kh * kw;
  return e.shared(`flip:${w}`, () => {
    const frozen = e.constantData(w);
    if (frozen) {
      const out = new Float32Array(frozen.length);
      for (let o = 0; o < O; o++)
        for (let c = 0; c < C; c++)
          for (let t = 0; t < taps; t++) out[(c * O + o) * taps + t] = frozen[(o * C + c) * taps + taps - 1 - t]!;
      return e.constant(out, [C, O, kh, kw]);
    }
    const swapped = e.node("Transpose", [w], { perm: [1, 0, 2, 3] });
    if (taps === 1) return swapped;
    // Reversing the taps as a product with the exchange matrix: much faster than Gather.
    const exchange = Array.from({ length: taps * taps }, (_, k) =>
      Number(k % taps === taps - 1 - Math.floor(k / taps)),
    );
    const flat = e.node("Reshape", [swapped, e.ints([C * O, taps])]);
    const reversed = e.node("MatMul", [flat, e.floats(exchange, [taps, taps])]);
    return e.node("Reshape", [reversed, e.ints([C, O, kh, kw])]);
  });
}

/** Puts stride − 1 zeros after every row and column: [B,O,H,W] → [B,O,s·H,s·W]. */
function insertZeros(e: Emitter, y: string, shape: Shape, stride: number): string {
  const [B, O, H, W] = shape as [number, number, number, number];
  const split = e.node("Reshape", [y, e.ints([B, O, H, 1, W, 1])]);
  const padded = e.node("Pad", [split, e.ints([0, 0, 0, 0, 0, 0, 0, 0, 0, stride - 1, 0, stride - 1])]);
  return e.node("Reshape", [padded, e.ints([B, O, H * stride, W * stride])]);
}
