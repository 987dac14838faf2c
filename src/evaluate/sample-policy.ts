import { type NamedArrays, withPrefix } from "../core/named-arrays.ts";
import type { Purpose } from "../core/rng.ts";
import { Rng } from "../core/rng.ts";
import type { Chain } from "../diffusion/index.ts";
import { asConstants } from "../nn/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { openChainSampler, type SampledStep, type Trajectories } from "../sample/chain-sampler.ts";
import { encodePrompts } from "../sample/conditions.ts";
import { initialLawPrefix, initialParts } from "../sample/initial-law.ts";
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
  /**
   * Sees every step as it is drawn, with the output of the pretrained network there. Where x_0 has a learned law, first the steps
   * of the chain that ends in x_0: `chain` is the one that a step belongs to.
   */
  watch?: ((step: SampledStep, chain: Chain) => void) | undefined;
  onProgress?: (fraction: number) => void;
  signal?: AbortSignal | undefined;
}

/**
 * Samples with fixed weights, baked into the graph for speed: the pretrained model when `policy` is undefined. Sample k
 * of a seed has the same noise whichever weights are used. Weights with a law of x_0 start from it.
 */
export async function samplePolicy(
  runtime: Runtime,
  parts: SamplingParts,
  policy: NamedArrays | undefined,
  request: PolicySamples,
): Promise<Trajectories> {
  const law = withPrefix(policy ?? {}, initialLawPrefix);
  if (Object.keys(law).length === 0) return sampleChain(runtime, parts, policy, request, {});
  const own = Object.fromEntries(Object.entries(policy!).filter(([name]) => !name.startsWith(initialLawPrefix)));
  const start = { ...parts, ...initialParts(parts.model) };
  const { onProgress: _, ...quiet } = { ...request, keepStates: false, halfSteps: undefined };
  // Steps of noise after those of the chain itself: no two draws share their numbers.
  const { states } = await sampleChain(runtime, start, law, quiet, { firstStep: parts.chain.T + 1 });
  return sampleChain(runtime, parts, own, request, { initial: states.at(-1)! });
}

async function sampleChain(
  runtime: Runtime,
  parts: SamplingParts,
  policy: NamedArrays | undefined,
  { prompts, seed, purpose, block, keepStates = false, halfSteps, watch, onProgress, signal }: PolicySamples,
  { initial, firstStep = 0 }: { initial?: Float32Array; firstStep?: number },
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
      noise: (out, offset, size, sample, i) =>
        rng.fillNormal(out, offset, size, { purpose, sample, step: firstStep + i }),
      initial,
      watch: watch && ((step) => watch(step, chain)),
      ...(onProgress && { onProgress }),
      signal,
    });
  } finally {
    await sampler.release();
    await flow?.release();
  }
}
