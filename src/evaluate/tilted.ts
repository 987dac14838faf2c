import { effectiveSampleSize, normalizedWeights } from "../core/importance.ts";
import { meanPairwiseDistance } from "../metrics/diversity.ts";
import { featuresByPrompt, imagesByPrompt } from "../metrics/features.ts";
import type { Measured } from "./measure.ts";

/**
 * What p_pre exp(βr) is like: samples of the pretrained model, weighted. Means over prompts, as in a run's summary. An
 * effective sample size of a few means that these numbers rest on a few pictures: more samples, or a smaller β, help.
 */
export interface TiltedReference {
  readonly beta: number;
  readonly reward: number;
  readonly rewardStd: number;
  readonly diversity: number;
  readonly promptAgreement?: number;
  /** Effective number of samples of a prompt, (Σw)²/Σw², averaged over prompts. */
  readonly ess: number;
  /** Samples in all. */
  readonly n: number;
}

/**
 * The exactly tilted pretrained sampler: within each prompt, sample j weighs w_j ∝ exp(β r_j), Σ w = 1. Diversity is that
 * of two different draws.
 */
export function tiltedReference(pretrained: Omit<Measured, "summary" | "images">, beta: number): TiltedReference {
  const { rewards, prompts, features, agreement } = pretrained;
  const rows = featuresByPrompt(features);
  const perPrompt = [...imagesByPrompt(prompts)].map(([prompt, members]) => {
    const logWeights = members.map((j) => beta * rewards[j]!);
    const weights = normalizedWeights(logWeights);
    const weighted = (value: (j: number) => number) => members.reduce((sum, j, k) => sum + weights[k]! * value(j), 0);
    return {
      reward: weighted((j) => rewards[j]!),
      squaredReward: weighted((j) => rewards[j]! ** 2),
      agreement: agreement ? weighted((j) => agreement[j]!) : 0,
      diversity: meanPairwiseDistance(rows.get(prompt)!, weights),
      ess: effectiveSampleSize(logWeights),
    };
  });
  const over = (key: keyof (typeof perPrompt)[number]) =>
    perPrompt.reduce((sum, measured) => sum + measured[key], 0) / perPrompt.length;
  const reward = over("reward");
  return {
    beta,
    reward,
    rewardStd: Math.sqrt(Math.max(0, over("squaredReward") - reward ** 2)),
    diversity: over("diversity"),
    ...(agreement && { promptAgreement: over("agreement") }),
    ess: over("ess"),
    n: prompts.length,
  };
}
