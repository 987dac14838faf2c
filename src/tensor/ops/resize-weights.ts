export type Interpolation = "nearest" | "bilinear" | "bicubic";

/** Triangle: 1 − |t| within distance 1. */
const linear = (t: number): number => Math.max(0, 1 - Math.abs(t));

/** Keys' cubic convolution within distance 2 [IEEE Trans. ASSP 29 (1981) 1153]; a is its slope at 1. */
const cubic = (a: number) => (t: number) => {
  const u = Math.abs(t);
  if (u <= 1) return ((a + 2) * u - (a + 3)) * u * u + 1;
  return u < 2 ? a * (((u - 5) * u + 8) * u - 4) : 0;
};

/** Kernel and its reach. PyTorch takes a = −0.75 for plain bicubic, and a = −0.5, as Pillow, for the antialiased one. */
const kernelOf = (mode: "bilinear" | "bicubic", antialias: boolean) =>
  mode === "bilinear" ? { kernel: linear, reach: 1 } : { kernel: cubic(antialias ? -0.5 : -0.75), reach: 2 };

/**
 * The matrix [to, from] that resamples one axis from `from` to `to` pixels. Pixel i of the result lies at
 * s·(i + ½) − ½ on the axis of the source, s = from/to.
 */
export function resizeWeights(from: number, to: number, mode: Interpolation, antialias: boolean): Float64Array {
  const weights = new Float64Array(to * from);
  const scale = from / to;
  for (let i = 0; i < to; i++) {
    if (mode === "nearest") {
      weights[i * from + Math.floor((i * from) / to)] = 1;
      continue;
    }
    const { kernel, reach } = kernelOf(mode, antialias);
    const centre = scale * (i + 0.5) - 0.5;
    const row = weights.subarray(i * from, (i + 1) * from);
    if (antialias) {
      // The kernel is stretched over s source pixels when shrinking; what lies outside the image is left out.
      const stretch = Math.max(scale, 1);
      for (let j = 0; j < from; j++) row[j] = kernel((j - centre) / stretch);
      const total = row.reduce((sum, w) => sum + w, 0);
      for (let j = 0; j < from; j++) row[j]! /= total;
    } else {
      // The kernel keeps its size; what lies outside the image takes the value of the border pixel.
      for (let j = Math.floor(centre) + 1 - reach; j <= Math.floor(centre) + reach; j++)
        row[Math.min(Math.max(j, 0), from - 1)]! += kernel(j - centre);
    }
  }
  return weights;
}
