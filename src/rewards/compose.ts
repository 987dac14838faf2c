import { ConfigError } from "../core/errors.ts";
import { fill, type Tensor } from "../tensor/index.ts";
import type { GraphRewardInput, Reward } from "./reward.ts";

type GraphReward = Extract<Reward, { differentiable: true }>;

/** Σ_k w_k r_k. Differentiable when all parts are. */
export function weightedSum(parts: readonly { reward: Reward; weight: number }[]): Reward {
  if (parts.length === 1 && parts[0]!.weight === 1) return parts[0]!.reward;
  const kind = parts.map(({ reward, weight }) => `${weight}·${reward.kind}`).join(" + ");
  const graph = parts.filter((part): part is { reward: GraphReward; weight: number } => part.reward.differentiable);
  if (graph.length < parts.length) {
    throw new ConfigError(
      `reward: a weighted sum needs rewards that are graphs, but ${parts
        .filter(({ reward }) => !reward.differentiable)
        .map(({ reward }) => `"${reward.kind}"`)
        .join(", ")} runs on the host. Use it alone.`,
    );
  }
  return sideBySide(
    kind,
    graph.map(({ reward }) => reward),
    (scores) => scores.map((score, k) => score.mul(graph[k]!.weight)).reduce((a, b) => a.add(b)),
  );
}

/** Each prompt has its own reward: r(x, prompt) = r_prompt(x). */
export function byPrompt(rewards: Readonly<Record<string, Reward>>): Reward {
  const prompts = Object.keys(rewards);
  const parts = Object.values(rewards).filter((reward): reward is GraphReward => reward.differentiable);
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
function sideBySide(kind: string, parts: readonly GraphReward[], join: (scores: Tensor[]) => Tensor): Reward {
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
