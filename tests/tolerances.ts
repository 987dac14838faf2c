/** Relative error |a − b| / (|a| + |b| + floor), largest over elements. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>, floor = 1): number {
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const error = Math.abs(a[i]! - b[i]!) / (Math.abs(a[i]!) + Math.abs(b[i]!) + floor);
    if (!(error <= worst)) worst = error; // NaN counts as an error
  }
  return worst;
}

export const tolerances = {
  /** Central differences in float64 with step 1e-4: truncation about 1e-8, rounding about 1e-12 / 1e-4. */
  gradient: 1e-6,
  /** The same of a gradient: the step error enters once more. */
  secondOrder: 1e-5,
  /** float32 kernels against float64, values of order 1. */
  float32: 2e-5,
  /** Halves that were rounded from slightly different numbers may be neighbours, 2^-10 apart; relativeError halves that. */
  float16: 2 ** -10,
  /** float32 kernels against the same ones, in another order at most. */
  recomputed: 1e-6,
  /** 20 updates on float32 kernels of another backend: AdamW turns rounding of small gradients into steps. */
  otherKernels: 1e-4,
  /** float64 against a golden file of float64 values with 7 decimals. */
  golden: 1e-7,
} as const;
