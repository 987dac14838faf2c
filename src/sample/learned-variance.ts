import { ConfigError } from "../core/errors.ts";
import type { NamedArray, NamedArrays } from "../core/named-arrays.ts";
import type { Chain } from "../diffusion/index.ts";
import { gather, sizeOf, type Tensor } from "../tensor/index.ts";

/**
 * Name, among a policy's trained arrays, of the table p [T, …shape] of its learned variances: step i has the covariance
 * σ_i² diag(v_i) instead of σ_i² I.
 */
export const varianceTable = "variance.table";

/** Σ stays within this factor of σ². */
const largestFactor = 16;
const bound = Math.log(largestFactor);

/** log v = L tanh(p/L), L = log 16: bounded, and log v ≈ p near 0, where the table starts. */
const logVarianceOf = (p: number): number => bound * Math.tanh(p / bound);

/** The table of a policy that starts with the pretrained variances. */
export const freshVarianceTable = (T: number, shape: readonly number[]): NamedArrays => ({
  [varianceTable]: { shape: [T, ...shape], data: new Float32Array(T * sizeOf(shape)) },
});

/** log v at the steps [B] of a batch, from the table as a graph. [B, …shape] */
export const logVarianceAt = (table: Tensor, steps: Tensor): Tensor =>
  gather(table, steps).div(bound).tanh().mul(bound);

/**
 * log v of every step, [T, …shape], of a policy that has learned it; undefined for one whose variances are the pretrained
 * ones. Throws ConfigError for a chain of another number of steps.
 */
export function logVariances(policy: NamedArrays | undefined, { T }: Chain): Float32Array | undefined {
  const table: NamedArray | undefined = policy?.[varianceTable];
  if (!table) return undefined;
  if (table.shape[0] !== T) {
    throw new ConfigError(
      `The variances of a policy are learned for each of its steps, here ${table.shape[0]}, but the sampler has ${T}. Sample with sampler.steps = ${table.shape[0]}, or train with objective.variance: fixed.`,
    );
  }
  return Float32Array.from(table.data, logVarianceOf);
}
