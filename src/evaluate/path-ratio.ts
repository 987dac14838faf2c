import type { NamedArrays } from "../core/named-arrays.ts";
import type { Chain } from "../diffusion/index.ts";
import type { Runtime } from "../runtime/index.ts";
import type { SampledStep, Trajectories } from "../sample/chain-sampler.ts";
import { halfVariances, varianceAt } from "../sample/half-steps.ts";
import { sizeOf } from "../tensor/index.ts";
import type { SamplingParts } from "../train/prepare.ts";
import { type PolicySamples, samplePolicy } from "./sample-policy.ts";

/**
 * How trajectories of a finetuned chain differ from those of its pretrained chain; one number each. Where x_0 has a learned law,
 * the sums begin with the steps of the chain that ends in x_0, whose pretrained end is exactly N(0, I): weights and bounds made
 * of them are exact, though log ν/N(0, I) of x_0 alone is not known.
 */
export interface PathSums {
  /**
   * log π_θ/π_# of the trajectory: Σ_i (‖x_{i+1} − μ_#‖² − ‖x_{i+1} − μ_θ‖²)/(2σ_i²), with learned variances σ²v
   * Σ_i Σ_k [(x_{i+1} − μ_#)² − (x_{i+1} − μ_θ)²/v]/(2σ_i²) − ½ log v. A step in two halves counts as two, which without a
   * tilt make up that of the pretrained chain.
   */
  readonly logRatio: Float64Array;
  /** Σ_i ‖μ_θ − μ_#‖²/(2σ_i²) + Σ_k (v − 1 − log v)/2 at its states: on average the same as `logRatio`, with less noise. */
  readonly kl: Float64Array;
}

/**
 * `samplePolicy` with the sums of each trajectory, all 0 for the pretrained model itself. Only for a chain with noise in every
 * step: without it there is no ratio.
 */
export async function sampleComparing(
  runtime: Runtime,
  parts: SamplingParts,
  policy: NamedArrays | undefined,
  request: PolicySamples,
): Promise<Trajectories & { readonly paths: PathSums }> {
  const { length } = request.prompts;
  const paths = { logRatio: new Float64Array(length), kl: new Float64Array(length) };
  const watch = policy && ((step: SampledStep, chain: Chain) => addStep(paths, step, chain, sizeOf(parts.model.shape)));
  return { ...(await samplePolicy(runtime, parts, policy, { ...request, watch })), paths };
}

function addStep(
  { logRatio, kl }: PathSums,
  { i, start, used, x, out, reference, xNext, logVariance, half }: SampledStep,
  chain: Chain,
  size: number,
): void {
  const { d1, d2, sigma } = chain.steps[i]!;
  for (let b = 0; b < used; b++) {
    /** One Gaussian kernel of variance σ²v in place of σ², drawn `fromReference` away from the pretrained mean. */
    const add = (variance: number, v: number, fromReference: number, shift: number): void => {
      const fromPolicy = fromReference - shift;
      const squares = fromReference * fromReference - (fromPolicy * fromPolicy) / v;
      logRatio[start + b]! += squares / (2 * variance) - Math.log(v) / 2;
      kl[start + b]! += (shift * shift) / (2 * variance) + (v - 1 - Math.log(v)) / 2;
    };
    for (let k = b * size; k < (b + 1) * size; k++) {
      const v = varianceAt(logVariance, k);
      const referenceMean = d1 * x[k]! + d2 * reference[k]!;
      const shift = d2 * (out[k]! - reference[k]!);
      if (half) {
        const [v1, v2] = halfVariances(v);
        const y = half.middle[k]!;
        const variance = (sigma * sigma) / 2;
        add(variance, v1, y - referenceMean, shift / 2);
        add(variance, v2, xNext[k]! - y, variance * v2 * half.gradient[k]!);
      } else add(sigma * sigma, v, xNext[k]! - referenceMean, shift);
    }
  }
}
