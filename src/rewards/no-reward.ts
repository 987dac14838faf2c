import { fill } from "../tensor/index.ts";
import type { Reward } from "./reward.ts";

/** Stands where a model is sampled without a reward: r = 0. */
export const noReward: Reward = {
  kind: "none",
  differentiable: true,
  score: ({ images }) => fill([images.shape[0]!], 0),
};
