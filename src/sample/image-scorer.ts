import type { Model } from "../models/index.ts";
import type { Reward } from "../rewards/reward.ts";
import type { Program, Runtime } from "../runtime/index.ts";
import { input, sizeOf, type Tensor } from "../tensor/index.ts";

/** Decodes latents and scores them with a reward, in fixed-size blocks. */
export interface Scorer {
  /** latents [N, …shape] → images [N, …imageShape] and rewards [N]. */
  score(latents: Float32Array, prompts: readonly string[]): Promise<{ images: Float32Array; rewards: Float32Array }>;
  release(): Promise<void>;
}

export async function openScorer(runtime: Runtime, model: Model, reward: Reward, block: number): Promise<Scorer> {
  const latents = input("latents", [block, ...model.shape]);
  const images = model.decode(latents);
  const prompts = promptFeatureInput(reward, block);
  const program: Program = await runtime.compile(
    reward.differentiable ? { images, rewards: reward.score({ images, prompts }) } : { images },
  );
  const size = sizeOf(model.shape);
  const imageSize = sizeOf(model.imageShape);

  return {
    async score(all, allPrompts) {
      const n = allPrompts.length;
      const outImages = new Float32Array(n * imageSize);
      const rewards = new Float32Array(n);
      for (let start = 0; start < n; start += block) {
        const count = Math.min(block, n - start);
        const chunk = new Float32Array(block * size);
        chunk.set(all.subarray(start * size, (start + count) * size));
        const rowPrompts = Array.from({ length: block }, (_, b) => allPrompts[start + Math.min(b, count - 1)]!);
        const result = await program.run({
          latents: chunk,
          promptFeatures: promptFeaturesOf(reward, rowPrompts),
        });
        outImages.set(result.images!.subarray(0, count * imageSize), start * imageSize);
        if (result.rewards) rewards.set(result.rewards.subarray(0, count), start);
      }
      if (!reward.differentiable) {
        const shape = [n, ...model.imageShape];
        rewards.set(await reward.score({ images: outImages, shape, prompts: allPrompts }));
      }
      return { images: outImages, rewards };
    },
    release: () => program.release(),
  };
}

/** The input that carries prompt features to a reward; one unused column for rewards that look at none. */
export function promptFeatureInput(reward: Reward, batch: number): Tensor {
  const size = reward.differentiable ? (reward.promptFeatures?.size ?? 0) : 0;
  return input("promptFeatures", [batch, Math.max(size, 1)]);
}

/** Features of each sample's own prompt, [B, size]; a zero column for rewards that look at none. */
export function promptFeaturesOf(reward: Reward, prompts: readonly string[]): Float32Array {
  return reward.differentiable && reward.promptFeatures
    ? reward.promptFeatures.of(prompts)
    : new Float32Array(prompts.length);
}
