export {
  AUGMENT_UNIFORMS,
  type Augmentation,
  augment,
  defaultAugmentation,
  drawOn,
  SIDE,
} from "./augment.ts";
export { BACKGROUNDS } from "./backgrounds.ts";
export { type TrainingBatch, trainingBatch } from "./batches.ts";
export {
  type ClassifierAugmentation,
  LABEL_NAMES,
  type LabelledBatch,
  type LabelName,
  labelledBatch,
  plainClassifierAugmentation,
} from "./labelled-batch.ts";
export { loadPictures, type Picture, type PictureSet, type PictureStyle, splitOf } from "./pictures.ts";
export {
  choosePrompt,
  DETAIL_SHARES,
  type PromptDetails,
  promptOf,
  promptWords,
  readPromptFile,
  STYLE_WORDS,
} from "./prompts.ts";
export { loadTokenizer, type PromptTokenizer } from "./tokenizer.ts";
