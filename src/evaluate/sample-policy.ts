import type { NamedArrays } from "../core/named-arrays.ts";
import type { Purpose } from "../core/rng.ts";
import { Rng } from "../core/rng.ts";
import { asConstants } from "../nn/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { openChainSampler, type SampledStep, type Trajectories } from "../sample/chain-sampler.ts";
import { encodePrompts } from "../sample/conditions.ts";
import { logVariances } from "../sample/learned-variance.ts";
import type { SamplingParts } from "../train/prepare.ts";
import { type HalfSteps, openFlowGradient } from "./flow-gradient.ts";

export interface PolicySamples {
  /** One per trajectory. */
  prompts: readonly string[];
  seed: number;
  purpose: Extract<Purpose, "evaluation" | "sampling" | "reference">;
  block: number;
  keepStates?: boolean;
  /** Draws in half steps, so that the policy must be that of the training which left these. */
  halfSteps?: HalfSteps | undefined;
  /** Sees every step as it is drawn, with the output of the pretrained network there. */
  watch?: ((step: SampledStep) => void) | undefined;
  onProgress?: (fraction: number) => void;
  signal?: AbortSignal | undefined;
}

/**
 * Samples with fixed weights, baked into the graph for speed: the pretrained model when `policy` is undefined. Sample k
 * of a seed has the same noise whichever weights are used.
 */
export async function samplePolicy(
  runtime: Runtime,
  parts: SamplingParts,
  policy: NamedArrays | undefined,
  { prompts, seed, purpose, block, keepStates = false, halfSteps, watch, onProgress, signal }: PolicySamples,
): Promise<Trajectories> {
  const frozen = asConstants(parts.model.weights);
  const params = policy ? parts.adaptation.bind(frozen, asConstants(policy)) : frozen;
  const conditions = await encodePrompts(runtime, parts.model, prompts, parts.guidance);
  const { model, chain, guidance } = parts;
  const logVariance = logVariances(policy, chain);
  const reference = watch || halfSteps ? frozen : undefined;
  const flowParams = { params: { frozen, policy: params }, conditions, block };
  const flow = halfSteps && (await openFlowGradient(runtime, parts, halfSteps, flowParams));
  const options = { model, chain, guidance, block, params, reference, flowGradient: flow?.at };
  const sampler = await openChainSampler(runtime, options);
  const rng = new Rng(seed);
  try {
    return await sampler.sample({
      prompts,
      conditions,
      keepStates,
      logVariance,
      noise: (out, offset, size, sample, i) => rng.fillNormal(out, offset, size, { purpose, sample, step: i }),
      watch,
      ...(onProgress && { onProgress }),
      signal,
    });
  } finally {
    await sampler.release();
    await flow?.release();
  }
}
