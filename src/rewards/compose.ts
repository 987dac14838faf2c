import { ConfigError } from "../core/errors.ts";
import { fill, type Tensor } from "../tensor/index.ts";
import type { GraphReward, GraphRewardInput, Reward, RewardPart } from "./reward.ts";

/**
 * r = Σ_k w_k (r_k − m_k)/s_k, with m_k = 0 and s_k = 1 where a part is not normalised. Differentiable when all parts are.
 * The numbers m_k and s_k are fixed, so that p_pre exp(β r) is one law; the m_k only shift r, and cancel in it.
 */
export function weightedSum(parts: readonly RewardPart[]): Reward {
  const [only] = parts;
  if (parts.length === 1 && only!.weight === 1 && !only!.normalization) return only!.reward;
  const kind = parts.map(({ reward, weight }) => `${weight}·${reward.kind}`).join(" + ");
  const graphs = parts.flatMap(({ reward }) => (reward.differentiable ? [reward] : []));
  if (graphs.length < parts.length) return { kind, differentiable: false, parts };
  const join = (scores: Tensor[]) =>
    scores.map((score, k) => score.sub(meanOf(parts[k]!)).mul(scaleOf(parts[k]!))).reduce((a, b) => a.add(b));
  return { ...sideBySide(kind, graphs, join), parts };
}

const meanOf = ({ normalization }: RewardPart): number => normalization?.mean ?? 0;
const scaleOf = ({ weight, normalization }: RewardPart): number => weight / (normalization?.std ?? 1);

/** r [B] of a sum from the scores of its parts, each [B]. */
export function joinScores(parts: readonly RewardPart[], scores: readonly Float32Array[]): Float32Array {
  return scores[0]!.map((_, b) =>
    parts.reduce((sum, part, k) => sum + scaleOf(part) * (scores[k]![b]! - meanOf(part)), 0),
  );
}

/** What a reward adds up; a reward that is no sum is its own only part. */
export function partsOf(reward: Reward): readonly RewardPart[] {
  if (!("parts" in reward)) return [{ reward, weight: 1 }];
  return reward.parts ?? [];
}

/** A name for each part: its kind, numbered from the second of a kind on. */
export function partNames(parts: readonly RewardPart[]): string[] {
  return parts.map(({ reward: { kind } }, k) => {
    const before = parts.slice(0, k).filter(({ reward }) => reward.kind === kind).length;
    return before === 0 ? kind : `${kind}.${before + 1}`;
  });
}

/** Each prompt has its own reward: r(x, prompt) = r_prompt(x). */
export function byPrompt(rewards: Readonly<Record<string, Reward>>): Reward {
  const prompts = Object.keys(rewards);
  const parts = Object.values(rewards).flatMap((reward) => (reward.differentiable ? [reward] : []));
  if (parts.length < prompts.length) throw new ConfigError("prompts: the rewards of single prompts must be graphs.");
  return {
    kind: "by-prompt",
    differentiable: true,
    promptFeatures: {
      size: prompts.length,
      of: (given) => Float32Array.from(given.flatMap((prompt) => prompts.map((name) => Number(name === prompt)))),
    },
    score: ({ images, prompts: chosen }) =>
      parts
        .map((reward, k) => {
          const own = chosen.slice(1, k, k + 1).reshape([images.shape[0]!]);
          return reward.score({ images, prompts: fill([images.shape[0]!, 1], 0) }).mul(own);
        })
        .reduce((a, b) => a.add(b)),
  };
}

/** Several rewards whose prompt features stand side by side. */
function sideBySide(kind: string, parts: readonly GraphReward[], join: (scores: Tensor[]) => Tensor): GraphReward {
  const sizes = parts.map(({ promptFeatures }) => promptFeatures?.size ?? 0);
  const total = sizes.reduce((a, b) => a + b, 0);
  const starts = sizes.map((_, k) => sizes.slice(0, k).reduce((a, b) => a + b, 0));
  const own = ({ images, prompts }: GraphRewardInput, k: number): GraphRewardInput => ({
    images,
    prompts: sizes[k] === 0 ? fill([images.shape[0]!, 1], 0) : prompts.slice(1, starts[k]!, starts[k]! + sizes[k]!),
  });
  return {
    kind,
    differentiable: true,
    ...(total > 0 && {
      promptFeatures: {
        size: total,
        of(prompts: readonly string[]) {
          const tables = parts.map(({ promptFeatures }) => promptFeatures?.of(prompts));
          return Float32Array.from(
            prompts.flatMap((_, b) =>
              tables.flatMap((table, k) => (table ? [...table.subarray(b * sizes[k]!, (b + 1) * sizes[k]!)] : [])),
            ),
          );
        },
      },
    }),
    score: (input) => join(parts.map((part, k) => part.score(own(input, k)))),
  };
}
