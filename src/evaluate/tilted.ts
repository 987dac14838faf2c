import { effectiveSampleSize, normalizedWeights } from "../core/importance.ts";
import { dot, featuresByPrompt } from "../metrics/features.ts";
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
 * of two different draws: Σ_{j≠k} w_j w_k (1 − e_j·e_k)/(1 − Σ w²) with e = f/‖f‖.
 */
export function tiltedReference(pretrained: Omit<Measured, "summary" | "images">, beta: number): TiltedReference {
  const { rewards, prompts, features, agreement } = pretrained;
  const groups = new Map<string, number[]>();
  prompts.forEach((prompt, j) => {
    const group = groups.get(prompt);
    if (group) group.push(j);
    else groups.set(prompt, [j]);
  });
  const rows = featuresByPrompt(features);
  const perPrompt = [...groups].map(([prompt, members]) => {
    const logWeights = members.map((j) => beta * rewards[j]!);
    const weights = normalizedWeights(logWeights);
    const weighted = (value: (j: number) => number) => members.reduce((sum, j, k) => sum + weights[k]! * value(j), 0);
    return {
      reward: weighted((j) => rewards[j]!),
      squaredReward: weighted((j) => rewards[j]! ** 2),
      agreement: agreement ? weighted((j) => agreement[j]!) : 0,
      diversity: weightedDistance(rows.get(prompt)!, weights),
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

function weightedDistance(rows: readonly Float64Array[], weights: Float64Array): number {
  const total = new Float64Array(rows[0]!.length); // Σ w e
  let own = 0; // Σ w² e·e
  let squares = 0; // Σ w²
  rows.forEach((row, k) => {
    const norm = Math.sqrt(dot(row, row));
    squares += weights[k]! ** 2;
    if (norm === 0) return;
    own += weights[k]! ** 2;
    for (let d = 0; d < total.length; d++) total[d]! += (weights[k]! / norm) * row[d]!;
  });
  return 1 - (dot(total, total) - own) / (1 - squares);
}
