import type { NamedArrays } from "../core/named-arrays.ts";
import { asConstants } from "../nn/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { levelRow, rowsOf } from "../sample/chain-columns.ts";
import type { SampledStep, Trajectories } from "../sample/chain-sampler.ts";
import { encodePrompts } from "../sample/conditions.ts";
import { guidedState } from "../sample/guided-state.ts";
import { sizeOf } from "../tensor/index.ts";
import type { SamplingParts } from "../train/prepare.ts";
import { type PolicySamples, samplePolicy } from "./sample-policy.ts";

/** How trajectories of a finetuned chain differ from those of its pretrained chain; one number each. */
export interface PathSums {
  /** log π_θ/π_# of the trajectory: Σ_i (‖x_{i+1} − μ_#‖² − ‖x_{i+1} − μ_θ‖²)/(2σ_i²). */
  readonly logRatio: Float64Array;
  /** Σ_i ‖μ_θ − μ_#‖²/(2σ_i²) at its states: on average the same as `logRatio`, with less noise. */
  readonly kl: Float64Array;
}

export interface PathWatcher extends PathSums {
  /** Sees the steps of `samplePolicy`, with the same prompts and block. */
  watch(step: SampledStep): Promise<void>;
  release(): Promise<void>;
}

/**
 * Runs the frozen network beside a sampler and adds up both sums of each trajectory, one for each prompt. Only for a chain
 * with noise in every step: without it there is no ratio.
 */
export async function openPathWatcher(
  runtime: Runtime,
  parts: SamplingParts,
  prompts: readonly string[],
  block: number,
): Promise<PathWatcher> {
  const { model, chain, guidance } = parts;
  const size = sizeOf(model.shape);
  const conditions = await encodePrompts(runtime, model, prompts, guidance);
  const state = guidedState(model, guidance, block);
  const program = await runtime.compile({ reference: state.output(asConstants(model.weights)) });
  const logRatio = new Float64Array(prompts.length);
  const kl = new Float64Array(prompts.length);
  return {
    logRatio,
    kl,
    async watch({ i, start, used, prompts: rows, x, out, xNext }) {
      const { d1, d2, sigma } = chain.steps[i]!;
      const columns = rowsOf((level) => levelRow(chain, level), new Array<number>(block).fill(i));
      const { reference } = await program.run({ ...conditions.feeds(rows), x, columns });
      for (let b = 0; b < used; b++) {
        for (let k = b * size; k < (b + 1) * size; k++) {
          const base = xNext[k]! - d1 * x[k]!;
          const toReference = base - d2 * reference![k]!;
          const toPolicy = base - d2 * out[k]!;
          const shift = d2 * (out[k]! - reference![k]!);
          logRatio[start + b]! += (toReference * toReference - toPolicy * toPolicy) / (2 * sigma * sigma);
          kl[start + b]! += (shift * shift) / (2 * sigma * sigma);
        }
      }
    },
    release: () => program.release(),
  };
}

/** `samplePolicy` with the sums of each trajectory; all 0 for the pretrained model itself. */
export async function sampleComparing(
  runtime: Runtime,
  parts: SamplingParts,
  policy: NamedArrays | undefined,
  request: PolicySamples,
): Promise<Trajectories & { readonly paths: PathSums }> {
  const { prompts, block } = request;
  if (!policy) {
    const none = () => new Float64Array(prompts.length);
    return { ...(await samplePolicy(runtime, parts, policy, request)), paths: { logRatio: none(), kl: none() } };
  }
  const { watch, release, logRatio, kl } = await openPathWatcher(runtime, parts, prompts, block);
  try {
    return { ...(await samplePolicy(runtime, parts, policy, { ...request, watch })), paths: { logRatio, kl } };
  } finally {
    await release();
  }
}
