export { diffusers, loadDiffusers } from "./diffusers.ts";
export { type ExactReward, type ExactTarget, exactTarget } from "./exact-target.ts";
export { gaussianMixture, gaussianMixtureKind } from "./gaussian-mixture.ts";
export { defineModel, type ModelKind } from "./kind.ts";
export { modelKinds } from "./kinds.ts";
export type { Mixture } from "./mixture.ts";
export type { Adaptation, Condition, FinetuneOptions, Model, Network, Time } from "./model.ts";
export { loadOnnx, onnxModel } from "./onnx.ts";
