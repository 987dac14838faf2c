// The exact world configs/worlds/ring8.yaml, finetuned with its parts given as values: nothing here needs Node.
import {
  exactTarget,
  gaussianMixture,
  type MemoryRun,
  memoryParts,
  type NamedArrays,
  quadratic,
  Rng,
  type Runtime,
  residualNablaDb,
  samplePolicy,
  samplers,
  type TrainEvent,
  trainInMemory,
} from "nablaflow/web";

const diagonal = 0.98994949; // 1.4/√2
export const modes = [
  [1.4, 0],
  [diagonal, diagonal],
  [0, 1.4],
  [-diagonal, diagonal],
  [-1.4, 0],
  [-diagonal, -diagonal],
  [0, -1.4],
  [diagonal, -diagonal],
];
export const std = 0.15;
export const center = [0.89927, 0.43739]; // what the reward prefers: between two modes
const tau = 0.8;
const beta = 1;
const optimizer = { lr: 2e-3, clip: 1, decayAt: 0.7 };

/** The same run as the configuration file's, with as many trajectories in an update unless others are given. */
export const ring8 = (updates: number, trajectories = 80): MemoryRun => ({
  model: gaussianMixture({ means: modes, stds: std }),
  reward: quadratic({ center, tau }),
  sampler: samplers.ddpm({ steps: 20, grid: "leading" }),
  objective: residualNablaDb({ beta }),
  finetune: { mode: "full" },
  train: { updates, trajectories, strata: 5, block: trajectories, optimizer, flowOptimizer: optimizer },
});

/** p* ∝ p·exp(βr), which finetuning is to reach: points [n, 2] and E[r]. */
export function target(n: number): { samples: Float64Array; meanReward: number } {
  const stds = modes.map(() => std);
  const weights = modes.map(() => 1 / modes.length);
  const prior = { means: modes, stds, weights };
  return exactTarget(prior, { kind: "quadratic", center, tau }, beta, n, new Rng(1), { purpose: "reference" });
}

export interface Ring8Options {
  updates: number;
  /** Of an update. Default 80. */
  trajectories?: number;
  /** Told of every event. */
  onEvent?: (event: TrainEvent) => Promise<void> | void;
  /** Shown `points` samples of the policy, [points, 2], before the first update and after every `every` updates. */
  onSamples?: (samples: Float32Array, update: number) => void;
  points?: number;
  every?: number;
  signal?: AbortSignal;
}

/** Finetunes; returns the losses of each update, the trained parameters and samples of the trained policy, [points, 2]. */
export async function trainRing8(runtime: Runtime, options: Ring8Options) {
  const { updates, trajectories, onEvent, onSamples, points = 80, every = 0, signal } = options;
  const run = ring8(updates, trajectories);
  const parts = await memoryParts(run);
  const prompts = new Array<string>(points).fill("");
  const draw = async (policy: NamedArrays | undefined) => {
    const request = { prompts, seed: 7, purpose: "sampling", block: points } as const;
    return (await samplePolicy(runtime, parts, policy, request)).states.at(-1)!;
  };
  let update = 0;
  const show = async (policy: NamedArrays | undefined) => onSamples?.(await draw(policy), update);
  const probe = async (policy: NamedArrays) => {
    await show(policy);
    return {};
  };
  if (onSamples) await show(undefined);
  const training = trainInMemory(run, {
    runtime,
    ...(every > 0 && { probe, probeEvery: every }),
    ...(signal && { signal }),
  });
  const losses: Record<string, number>[] = [];
  for (;;) {
    const { value, done } = await training.next();
    if (done) {
      const samples = await draw(value.policy);
      onSamples?.(samples, update);
      return { losses, policy: value.policy, samples };
    }
    if (value.type === "step") {
      ({ update } = value);
      losses.push(value.losses);
    }
    await onEvent?.(value);
  }
}
