export { type ConfigLayers, type RunConfig, readConfig, resolveConfig } from "./config.ts";
export type {
  CheckpointEvent,
  EvaluationEvent,
  InitialLawEvent,
  InitialLawStepEvent,
  NoteEvent,
  StepEvent,
  TrainEvent,
} from "./events.ts";
export { type Finetuned, finetune } from "./finetune.ts";
export type { FinetuneOptions } from "./finetune-options.ts";
export { prepareMeasured } from "./measured-rewards.ts";
export { loadModel, loadReward, type Parts, prepare, prepareSampling, type SamplingParts } from "./prepare.ts";
export { pretrain } from "./pretrain.ts";
export { type PretrainConfig, resolvePretrainConfig } from "./pretrain-config.ts";
export { type TrainOptions, train } from "./train.ts";
export { recordedConfig, type TrainConfig } from "./values.ts";
