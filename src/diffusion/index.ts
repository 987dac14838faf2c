export { type Chain, type ChainLevel, type ChainOptions, chain, type Step } from "./chain.ts";
export * as gaussian from "./gaussian.ts";
export * as hostGaussian from "./gaussian-host.ts";
export { checkLevels, type Grid, gridLevels, grids } from "./grid.ts";
export type { Kernel } from "./kernel.ts";
export { diffusionLevel, flowLevel, type Level } from "./level.ts";
export { type Conversion, conversion, type Linear, type Prediction } from "./prediction.ts";
export {
  commonOptions,
  defineSampler,
  diffusionOptions,
  type SampledModel,
  type Sampler,
  type SamplerDefinition,
  type SamplerKind,
} from "./sampler.ts";
export * as samplers from "./samplers/index.ts";
export { alphasCumprod, type NoiseSchedule } from "./schedule.ts";
