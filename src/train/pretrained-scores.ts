import { Rng } from "../core/rng.ts";
import { asConstants } from "../nn/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { openChainSampler } from "../sample/chain-sampler.ts";
import { encodePrompts } from "../sample/conditions.ts";
import { openScorer, type Scored } from "../sample/image-scorer.ts";
import type { SamplingParts } from "./prepare.ts";

export interface PretrainedOptions {
  seed: number;
  block: number;
  count: number;
  onProgress?: ((fraction: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Samples of the pretrained model, prompt after prompt in a random order, scored. */
export async function scorePretrained(
  { model, chain, guidance, prompts, reward }: SamplingParts,
  runtime: Runtime,
  { seed, block, count, onProgress, signal }: PretrainedOptions,
): Promise<Scored> {
  const rng = new Rng(seed);
  const order = rng.permutation(prompts.length, { purpose: "prompts" });
  const chosen = Array.from({ length: count }, (_, k) => prompts[order[k % prompts.length]!]!);
  const conditions = await encodePrompts(runtime, model, chosen, guidance);
  const params = asConstants(model.weights);
  const sampler = await openChainSampler(runtime, { model, chain, guidance, block, params });
  const scorer = await openScorer(runtime, model, reward, block);
  try {
    const { states } = await sampler.sample({
      prompts: chosen,
      conditions,
      noise: (into, offset, size, sample, step) =>
        rng.fillNormal(into, offset, size, { purpose: "normalization", sample, step }),
      ...(onProgress && { onProgress }),
      signal,
    });
    return await scorer.score(states.at(-1)!, chosen);
  } finally {
    await sampler.release();
    await scorer.release();
  }
}
