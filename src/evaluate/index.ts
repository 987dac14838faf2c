export { type AlignedRunOptions, alignedRun } from "./aligned-run.ts";
export { type EvaluatedMetric, type EvaluateOptions, evaluateModel } from "./evaluate-model.ts";
export { type ExactOptions, type ExactPoints, exactSummary } from "./exact.ts";
export { type Judges, openJudges, pointJudges } from "./judges.ts";
export { type Measured, type MeasureOptions, measureModel } from "./measure.ts";
export { type OpenedModel, type OpenModelOptions, openModel } from "./open-model.ts";
export { logPathRatio } from "./path-ratio.ts";
export { openPictureJudges } from "./picture-judges.ts";
export { type PolicySamples, samplePolicy } from "./sample-policy.ts";
