/**
 * The public face: configurations and training, and what defines a reward, objective, sampler or model of one's own. Each
 * folder is also reachable by its name: `nablaflow/tensor`, `nablaflow/metrics`, `nablaflow/runtime/node` …
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
export { defineSampler, type Sampler, type SamplerKind } from "./diffusion/index.ts";
export {
  type AlignedRunOptions,
  alignedRun,
  evaluateModel,
  type OpenedModel,
  openModel,
  samplePolicy,
} from "./evaluate/index.ts";
export { defineModel, loadDiffusers, type Model, type ModelKind } from "./models/index.ts";
export { defineObjective, type Objective, type ObjectiveKind } from "./objectives/index.ts";
export { writeReport } from "./report/index.ts";
export { defineReward, type Reward, type RewardKind, type RewardValue } from "./rewards/index.ts";
export { openRunDirectory, type RunDirectory, type RunSummary, readSummary } from "./run/index.ts";
export type { Program, Runtime } from "./runtime/index.ts";
export {
  loadModel,
  loadReward,
  pretrain,
  type RunConfig,
  readConfig,
  resolveConfig,
  type TrainConfig,
  type TrainEvent,
  type TrainOptions,
  train,
} from "./train/index.ts";
