import { ShapeError } from "../core/errors.ts";
import { moments } from "../core/moments.ts";
import type { Model } from "../models/index.ts";
import { joinScores, partNames, partsOf } from "../rewards/compose.ts";
import type { HostReward, Reward } from "../rewards/reward.ts";
import type { Program, Runtime } from "../runtime/index.ts";
import { input, sizeOf, type Tensor } from "../tensor/index.ts";

/** Decoded samples and what a reward says about them. */
export interface Scored {
  /** [N, …imageShape] */
  images: Float32Array;
  /** [N] */
  rewards: Float32Array;
  /** Scores of what the reward adds up, before means, stds and weights, [N] each; one part for a reward that is no sum. */
  parts: readonly { name: string; scores: Float32Array }[];
}

/** Decodes latents and scores them with a reward, in fixed-size blocks. */
export interface Scorer {
  /** latents [N, …shape], one prompt each. */
  score(latents: Float32Array, prompts: readonly string[]): Promise<Scored>;
  release(): Promise<void>;
}

/** Graph rewards become one program, part by part; host rewards then get the images of all blocks together. */
export async function openScorer(runtime: Runtime, model: Model, reward: Reward, block: number): Promise<Scorer> {
  const latents = input("latents", [block, ...model.shape]);
  const images = model.decode(latents);
  const parts = partsOf(reward);
  const names = partNames(parts);
  const graphs = parts.flatMap(({ reward: part }, k) => {
    if (!part.differentiable) return [];
    const features = featuresName(k);
    const scores = part.score({ images, prompts: promptFeatureInput(part, block, features) });
    return [{ part, k, features, output: `scores.${k}`, scores }];
  });
  const program: Program = await runtime.compile({
    images,
    ...Object.fromEntries(graphs.map(({ output, scores }) => [output, scores])),
  });
  const size = sizeOf(model.shape);
  const imageSize = sizeOf(model.imageShape);

  return {
    async score(all, allPrompts) {
      const n = allPrompts.length;
      const outImages = new Float32Array(n * imageSize);
      const scores = parts.map(() => new Float32Array(n));
      for (let start = 0; start < n; start += block) {
        const count = Math.min(block, n - start);
        const chunk = new Float32Array(block * size);
        chunk.set(all.subarray(start * size, (start + count) * size));
        const rowPrompts = Array.from({ length: block }, (_, b) => allPrompts[start + Math.min(b, count - 1)]!);
        const result = await program.run({
          latents: chunk,
          ...Object.fromEntries(graphs.map(({ part, features }) => [features, promptFeaturesOf(part, rowPrompts)])),
        });
        outImages.set(result.images!.subarray(0, count * imageSize), start * imageSize);
        for (const { k, output } of graphs) scores[k]!.set(result[output]!.subarray(0, count), start);
      }
      const shape = [n, ...model.imageShape];
      for (const [k, { reward: part }] of parts.entries()) {
        if (!part.differentiable) scores[k]!.set(await hostScores(part, outImages, shape, allPrompts));
      }
      return {
        images: outImages,
        rewards: joinScores(parts, scores),
        parts: scores.map((own, k) => ({ name: names[k]!, scores: own })),
      };
    },
    release: () => program.release(),
  };
}

/** The mean score of each part of a sum; undefined for a reward that is no sum. */
export function partMeans(parts: Scored["parts"]): Record<string, number> | undefined {
  return parts.length > 1
    ? Object.fromEntries(parts.map(({ name, scores }) => [name, moments(scores).mean]))
    : undefined;
}

const featuresName = (part: number) => `promptFeatures.${part}`;

/** Scores [N] of a host reward. Throws ShapeError when it gives another number of them. */
async function hostScores(
  reward: HostReward,
  images: Float32Array,
  shape: readonly number[],
  prompts: readonly string[],
): Promise<Float32Array> {
  const scores = await reward.score({ images, shape, prompts });
  if (scores.length !== prompts.length) {
    throw new ShapeError(
      `reward "${reward.kind}" was given ${prompts.length} samples and returned ${scores.length} scores. Its host function must return one for each, in order.`,
    );
  }
  return scores;
}

/** The input that carries prompt features to a reward; one unused column for rewards that look at none. */
export function promptFeatureInput(reward: Reward, batch: number, name = "promptFeatures"): Tensor {
  const size = reward.differentiable ? (reward.promptFeatures?.size ?? 0) : 0;
  return input(name, [batch, Math.max(size, 1)]);
}

/** Features of each sample's own prompt, [B, size]; a zero column for rewards that look at none. */
export function promptFeaturesOf(reward: Reward, prompts: readonly string[]): Float32Array {
  return reward.differentiable && reward.promptFeatures
    ? reward.promptFeatures.of(prompts)
    : new Float32Array(prompts.length);
}
