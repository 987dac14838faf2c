import type { ConfigData } from "../../src/core/config.ts";
import type { Objective } from "../../src/objectives/index.ts";
import type { Reward } from "../../src/rewards/reward.ts";
import { type RunConfig, resolveConfig } from "../../src/train/config.ts";
import { type Parts, prepare } from "../../src/train/prepare.ts";

/** Three modes of unequal width in the plane, and a reward between two of them. */
export const plane: ConfigData = {
  model: {
    kind: "gaussian-mixture",
    means: [
      [1, 0.5],
      [-1, 0.25],
      [0, -1.25],
    ],
    stds: [0.25, 0.5, 0.375],
    weights: [2, 1, 1],
  },
  reward: { kind: "quadratic", center: [0.5, -0.5], tau: 0.8 },
  sampler: { kind: "ddpm", steps: 6 },
  objective: { kind: "residual-nabla-db", beta: 1.5 },
  train: { updates: 12, trajectories: 8, strata: 2, block: 8, checkpointEvery: 3, threads: 1 },
};

/** One component N(0, I) in the plane and a linear reward: everything about it is known in closed form. */
export const normal: ConfigData = {
  ...plane,
  model: { kind: "gaussian-mixture", means: [[0, 0]], stds: 1 },
  reward: { kind: "linear", k: [0.5, -1.25] },
  sampler: { kind: "ddpm", steps: 20 },
};

/** Two prompts of one prior whose rewards pull apart: "up" to the right, "down" to the left. */
export const apart: ConfigData = {
  ...plane,
  model: { kind: "gaussian-mixture" },
  reward: undefined,
  prompts: {
    up: { model: { means: [[0]], stds: 1 }, reward: { kind: "linear", k: [1] } },
    down: { model: { means: [[0]], stds: 1 }, reward: { kind: "linear", k: [-1] } },
  },
};

/** A resolved configuration of a world with overrides `a.b=v`. */
export const configOf = (file: ConfigData, ...set: string[]): RunConfig =>
  resolveConfig({ file: JSON.parse(JSON.stringify(file)), set, source: "world" });

export const partsOf = (file: ConfigData, ...set: string[]): Promise<Parts> => prepare(configOf(file, ...set));

export const withObjective = (parts: Parts, objective: Objective): Parts => ({ ...parts, objective });

/** A differentiable reward from its graph. */
export const graphReward = (score: Extract<Reward, { differentiable: true }>["score"]): Reward => ({
  kind: "made-for-a-test",
  differentiable: true,
  score,
});

/** The first coordinate of a point in the plane, without a gradient. */
export const onHost: Reward = {
  kind: "on-the-host",
  differentiable: false,
  score: async ({ images }) => Float32Array.from({ length: images.length / 2 }, (_, j) => images[2 * j]!),
};
