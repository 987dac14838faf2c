import type { Step } from "../diffusion/index.ts";

/** h_i = ∇log F̃_i at states x_i of a block, [block, …shape], each with its own prompt; the caller may keep what it gets. */
export type FlowGradient = (i: number, x: Float32Array, prompts: readonly string[]) => Promise<Float32Array>;

/** Where the first half of a step ended, and h there. [block, …shape] */
export interface HalfStep {
  readonly middle: Float32Array;
  readonly gradient: Float32Array;
}

/**
 * The variances of the two halves of a step, as multiples of σ²/2, where that of the whole step is σ²v:
 *   v₁ = (1 + v)/2,  v₂ = 2v/(1 + v).
 * For an h that is linear in x with E ∂h = (1 − 1/v)/σ² the two halves then make the whole step exactly; v = 1 gives 1, 1.
 */
export const halfVariances = (v: number): readonly [number, number] => [(1 + v) / 2, (2 * v) / (1 + v)];

/**
 * The first half of a step: y = μ_# + (σ²/2) Δ + σ √(v₁/2) z with σ²Δ = d₂(out − out_#). `logVariance` [size] is log v of
 * the step. [block, …shape]
 */
export function firstHalf(
  { d1, d2, sigma }: Step,
  {
    x,
    out,
    reference,
    noise,
    logVariance,
  }: Record<"x" | "out" | "reference" | "noise", Float32Array> & {
    logVariance: Float32Array | undefined;
  },
): Float32Array {
  return x.map((xk, k) => {
    const [v1] = halfVariances(varianceAt(logVariance, k));
    return d1 * xk + (d2 * (out[k]! + reference[k]!)) / 2 + sigma * Math.sqrt(v1 / 2) * noise[k]!;
  });
}

/** The second half: x' = y + (σ²/2) v₂ h(y) + σ √(v₂/2) z. [block, …shape] */
export function secondHalf(
  { sigma }: Step,
  { middle, gradient }: HalfStep,
  noise: Float32Array,
  logVariance: Float32Array | undefined,
): Float32Array {
  return middle.map((y, k) => {
    const [, v2] = halfVariances(varianceAt(logVariance, k));
    return y + ((sigma * sigma) / 2) * v2 * gradient[k]! + sigma * Math.sqrt(v2 / 2) * noise[k]!;
  });
}

/** v of element k of a block whose rows share `logVariance` [size]; 1 without. */
export const varianceAt = (logVariance: Float32Array | undefined, k: number): number =>
  logVariance ? Math.exp(logVariance[k % logVariance.length]!) : 1;
