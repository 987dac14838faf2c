import type { NamedArrays } from "../core/named-arrays.ts";
import type { Purpose } from "../core/rng.ts";
import { Rng } from "../core/rng.ts";
import { asConstants } from "../nn/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { openChainSampler, type SampledStep, type Trajectories } from "../sample/chain-sampler.ts";
import { encodePrompts } from "../sample/conditions.ts";
import type { SamplingParts } from "../train/prepare.ts";

export interface PolicySamples {
  /** One per trajectory. */
  prompts: readonly string[];
  seed: number;
  purpose: Extract<Purpose, "evaluation" | "sampling" | "reference">;
  block: number;
  keepStates?: boolean;
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
  { prompts, seed, purpose, block, keepStates = false, watch, onProgress, signal }: PolicySamples,
): Promise<Trajectories> {
  const frozen = asConstants(parts.model.weights);
  const params = policy ? parts.adaptation.bind(frozen, asConstants(policy)) : frozen;
  const conditions = await encodePrompts(runtime, parts.model, prompts, parts.guidance);
  const { model, chain, guidance } = parts;
  const reference = watch && frozen;
  const sampler = await openChainSampler(runtime, { model, chain, guidance, block, params, reference });
  const rng = new Rng(seed);
  try {
    return await sampler.sample({
      prompts,
      conditions,
      keepStates,
      noise: (out, offset, size, sample, i) => rng.fillNormal(out, offset, size, { purpose, sample, step: i }),
      watch,
      ...(onProgress && { onProgress }),
      signal,
    });
  } finally {
    await sampler.release();
  }
}
