import { moments } from "../core/moments.ts";

/** Rewards remembered per prompt, newest last: the state of the running normalisation, saved with checkpoints. */
export type RewardHistory = Record<string, number[]>;

const remembered = 16;
const limit = 5;

/**
 * Normalised rewards A = clip((r − m)/(s + 1e-6), ±5): m and s over the last 16 rewards of the same prompt once there are
 * 16, else over the batch [black2024ddpo]. Adds the batch to `history` first.
 */
export function advantages(
  rewards: ArrayLike<number>,
  prompts: readonly string[],
  history: RewardHistory,
): Float32Array {
  prompts.forEach((prompt, k) => {
    const known = history[prompt] ?? [];
    history[prompt] = [...known, rewards[k]!].slice(-remembered);
  });
  const batch = moments(Array.from(rewards));
  return Float32Array.from(prompts, (prompt, k) => {
    const own = history[prompt]!;
    const { mean, std } = own.length >= remembered ? moments(own) : batch;
    return Math.max(-limit, Math.min(limit, (rewards[k]! - mean) / (std + 1e-6)));
  });
}

/**
 * Normalised rewards within groups of `groupSize` neighbours: A = clip((r − m)/(s + 1e-4), ±5), m over the group, s over all
 * rewards (`batch`, Flow-GRPO's default [liu2025flowgrpo]) or the group.
 */
export function groupAdvantages(rewards: ArrayLike<number>, groupSize: number, std: "batch" | "group"): Float32Array {
  const all = Array.from(rewards);
  const batch = moments(all);
  return Float32Array.from(all, (reward, k) => {
    const start = k - (k % groupSize);
    const own = moments(all.slice(start, start + groupSize));
    const spread = std === "batch" ? batch.std : own.std;
    return Math.max(-limit, Math.min(limit, (reward - own.mean) / (spread + 1e-4)));
  });
}
