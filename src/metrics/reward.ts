import { defineMetric } from "./metric.ts";

/**
 * Mean reward of samples, whichever prompt they are of; `std` is over samples, `error` = std/√n that of the mean: 0.1 std from 100
 * samples, 0.05 from 400. Drawn from the same noise two models differ with a smaller error. It has no floor: read it beside the
 * pretrained model's.
 *
 * @param rewards one per sample, [n]
 */
export const meanReward = defineMetric(
  {
    kind: "reward",
    summary: "mean reward of samples",
    better: "higher",
  },
  (rewards: ArrayLike<number>) => {
    const n = rewards.length;
    let sum = 0;
    for (let j = 0; j < n; j++) sum += rewards[j]!;
    const value = sum / n;
    let squares = 0;
    for (let j = 0; j < n; j++) squares += (rewards[j]! - value) ** 2;
    const std = Math.sqrt(squares / n);
    return { value, std, error: std / Math.sqrt(n), n };
  },
);
