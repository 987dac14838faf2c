import type { Emitter } from "../operator.ts";
import type { Shape } from "../shapes.ts";

/*
 * Ungrouped convolutions as matrix products over the whole batch, channels last: weight gradients with a stride, the other two
 * maps where images are small.
 */

export const channelsLast = (e: Emitter, x: string) => e.node("Transpose", [x], { perm: [0, 2, 3, 1] });

/*
 * Kernels [O, C, kh, kw] with their taps first, and back. Exchanging two groups of axes at a time is three times faster in ONNX
 * Runtime than one permutation of four.
 */

/** [O, C, kh, kw] → [kh, kw, C, O] */
export function inputsByOutputs(e: Emitter, kernel: string, [O, C, kh, kw]: Shape): string {
  const taps = kh! * kw!;
  const tapsByInputs = e.node("Transpose", [e.node("Reshape", [kernel, e.ints([O!, C!, taps])])], { perm: [0, 2, 1] });
  const columns = e.node("Transpose", [e.node("Reshape", [tapsByInputs, e.ints([O!, taps * C!])])], { perm: [1, 0] });
  return e.node("Reshape", [columns, e.ints([kh!, kw!, C!, O!])]);
}

/** [O, C, kh, kw] → [kh, kw, O, C] */
export function outputsByInputs(e: Emitter, kernel: string, [O, C, kh, kw]: Shape): string {
  const rows = e.node("Transpose", [e.node("Reshape", [kernel, e.ints([O! * C!, kh! * kw!])])], { perm: [1, 0] });
  return e.node("Reshape", [rows, e.ints([kh!, kw!, O!, C!])]);
}

/** [kh, kw, C, O] → [O, C, kh, kw] */
export function kernelOf(e: Emitter, byTap: string, [O, C, kh, kw]: Shape): string {
  const taps = kh! * kw!;
  const rows = e.node("Transpose", [e.node("Reshape", [byTap, e.ints([taps * C!, O!])])], { perm: [1, 0] });
  const kernel = e.node("Transpose", [e.node("Reshape", [rows, e.ints([O!, taps, C!])])], { perm: [0, 2, 1] });
  return e.node("Reshape", [kernel, e.ints([O!, C!, kh!, kw!])]);
}

interface Windows {
  stride: number;
  padding: number;
  dilation: number;
  reversed?: boolean;
}

/**
 * What each kernel row sees, channels last: kh matrices [B·Ho·Wo, kw·C]. The kw column shifts are cut first and joined
 * along channels, so that the row shifts are long contiguous copies.
 */
export function channelsLastRows(
  e: Emitter,
  x: string,
  [B, C, H, W]: Shape,
  [kh, kw]: Shape,
  { stride, padding: p, dilation, reversed = false }: Windows,
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
  const shifts = Array.from({ length: kw! }, (_, l) => window(source, 2, l * dilation, Wo!, W! + 2 * p));
  if (reversed) shifts.reverse();
  const joined = kw === 1 ? shifts[0]! : e.node("Concat", shifts, { axis: 3 });
  const rows = e.node("Reshape", [joined, e.ints([B!, H! + 2 * p, Wo! * kw! * C!])]);
  return Array.from({ length: kh! }, (_, k) =>
    e.node("Reshape", [window(rows, 1, k * dilation, Ho!, H! + 2 * p), e.ints([B! * Ho! * Wo!, kw! * C!])]),
  );
}

/** Σ_k rows[k]·kernel[k] (+ bias) back in channels-first order; kernel [kh, kw, in, out], `inner` = kw·in. */
export function sumOfProducts(
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
export const smallWithTrainedWeight = (e: Emitter, weight: string, kernel: Shape, output: Shape): boolean =>
  !e.isConstant(weight) && kernel[0] !== 1 && output[2]! * output[3]! <= SMALL_IMAGE;
const SMALL_IMAGE = 64;
