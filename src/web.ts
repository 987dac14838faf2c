/**
 * The public face for a browser: finetuning with parts given as values, and what defines them. It needs no Node;
 * `nablaflow/tensor`, `nn`, `optim`, `onnx`, `diffusion`, `objectives` and `metrics` need none either.
 */
export {
  ConfigError,
  FormatError,
  NablaError,
  type NamedArrays,
  NonFiniteError,
  Rng,
  ShapeError,
} from "./core/index.ts";
export { defineSampler, type Sampler, samplers } from "./diffusion/index.ts";
export { type PolicySamples, samplePolicy } from "./evaluate/sample-policy.ts";
export { type ExactReward, type ExactTarget, exactTarget } from "./models/exact-target.ts";
export { gaussianMixture } from "./models/gaussian-mixture.ts";
export type { Mixture } from "./models/mixture.ts";
export type { Model } from "./models/model.ts";
export {
  adjointMatching,
  dagDb,
  ddpo,
  defineObjective,
  flowGrpo,
  type Objective,
  residualDb,
  residualNablaDb,
  trajectoryBalance,
} from "./objectives/index.ts";
export { linear } from "./rewards/linear.ts";
export { mixtureLogDensity } from "./rewards/mixture-log-density.ts";
export { quadratic } from "./rewards/quadratic.ts";
export { defineReward, type Reward, type RewardValue } from "./rewards/reward.ts";
export type { Program, Runtime } from "./runtime/index.ts";
export { type WebProvider, type WebRuntimeOptions, webRuntime } from "./runtime/web.ts";
export type { TrainEvent } from "./train/events.ts";
export { type MemoryRun, type MemoryRunOptions, memoryParts, trainInMemory } from "./train/in-memory.ts";
