import type { NamedArrays } from "../core/named-arrays.ts";
import { diversity, kernelDistance, meanReward } from "../metrics/index.ts";
import type { ModelSummary } from "../run/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { openScorer, partMeans } from "../sample/image-scorer.ts";
import type { SamplingParts } from "../train/prepare.ts";
import type { HalfSteps } from "./flow-gradient.ts";
import type { Judges } from "./judges.ts";
import { sampleComparing } from "./path-ratio.ts";
import { pathMeasures } from "./path-summary.ts";
import { samplePolicy } from "./sample-policy.ts";

/** Points of a world sampled together: their networks are tiny. */
const worldBlock = 1000;

/** Samples advanced together while measuring: `block` of a configuration, more in exact worlds. */
export const measuringBlock = ({ model }: SamplingParts, block: number): number => (model.prior ? worldBlock : block);

export interface MeasureOptions {
  imagesPerPrompt: number;
  seed: number;
  block: number;
  judges: Judges;
  /**
   * β of the target p_pre exp(β r): also compare the trajectories with those of the tilted pretrained chain, where every
   * step has noise. Costs an evaluation of the frozen network beside each of the policy.
   */
  beta?: number | undefined;
  halfSteps?: HalfSteps | undefined;
  onProgress?: (fraction: number) => void;
  signal?: AbortSignal | undefined;
}

/** Samples of a model with everything that was measured of them. */
export interface Measured {
  summary: ModelSummary;
  /** [n, …imageShape] */
  images: Float32Array;
  rewards: Float32Array;
  prompts: readonly string[];
  /** [n, size] */
  features: { data: Float32Array; size: number; prompts: readonly string[] };
  /** The same by a network of others. */
  thirdPartyFeatures?: { data: Float32Array; size: number; prompts: readonly string[] };
  /** 1 where an image shows what its prompt asks for. [n] */
  agreement?: Float32Array;
}

/**
 * Draws `imagesPerPrompt` samples of each prompt with the pretrained model or a finetuned policy and measures reward,
 * diversity and prompt agreement. Image k of a seed has the same noise for every model.
 */
export async function measureModel(
  runtime: Runtime,
  parts: SamplingParts,
  policy: NamedArrays | undefined,
  { imagesPerPrompt, seed, block, judges, beta, halfSteps, onProgress, signal }: MeasureOptions,
): Promise<Measured> {
  const prompts = parts.prompts.flatMap((prompt) => new Array<string>(imagesPerPrompt).fill(prompt));
  const request = {
    prompts,
    seed,
    purpose: "evaluation",
    block,
    halfSteps,
    ...(onProgress && { onProgress }),
    signal,
  } as const;
  const target = parts.chain.stochastic ? beta : undefined;
  const { states, paths } =
    target === undefined
      ? { ...(await samplePolicy(runtime, parts, policy, request)), paths: undefined }
      : await sampleComparing(runtime, parts, policy, request);
  const scorer = await openScorer(runtime, parts.model, parts.reward, block);
  const { images, rewards, parts: scored } = await scorer.score(states.at(-1)!, prompts);
  await scorer.release();
  const features = { ...(await judges.features(images)), prompts };
  const thirdParty = await judges.thirdPartyFeatures?.(images);
  const thirdPartyFeatures = thirdParty && { ...thirdParty, prompts };
  const agreement = await judges.agreement?.(images, prompts);
  const { value: reward, std: rewardStd } = meanReward(rewards);
  const rewardParts = partMeans(scored);
  return {
    images,
    rewards,
    prompts,
    features,
    ...(thirdPartyFeatures && { thirdPartyFeatures }),
    ...(agreement && { agreement }),
    summary: {
      reward,
      rewardStd,
      ...(rewardParts && { rewardParts }),
      diversity: diversity(features).value,
      ...(thirdPartyFeatures && { diversityThirdParty: diversity(thirdPartyFeatures).value }),
      ...(agreement && { promptAgreement: mean(agreement) }),
      ...(paths && pathMeasures(rewards, prompts, paths, target!)),
      images: prompts.length,
      seeds: [seed],
    },
  };
}

/**
 * Kernel distance of features to the pretrained model, and what it is between two sets of the pretrained model's. The
 * reference is the set with other noise: to samples of the same noise an untrained policy would be nearer than 0.
 */
export function priorDistances(after: Measured, before: Measured, again: Measured, kernel: "polynomial" | "rbf") {
  const { value, floor } = kernelDistance(after.features, again.features, kernel, before.features);
  return { priorDistance: value, priorDistanceFloor: floor! };
}

const mean = (values: Float32Array): number => values.reduce((p, q) => p + q, 0) / values.length;
