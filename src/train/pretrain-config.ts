import { z } from "zod";
import { applyOverrides, type ConfigData, parseConfig } from "../core/config.ts";
import { ConfigError } from "../core/errors.ts";
import { defaultAugmentation, LABEL_NAMES } from "../data/index.ts";
import { parseClipTextConfig } from "../models/clip-text.ts";
import { parseUNetConfig } from "../models/unet.ts";

const share = z.number().min(0).max(1);

const train = z.strictObject({
  updates: z.int().positive(),
  batch: z.int().positive().default(32),
  lr: z.number().positive().default(1e-3),
  warmup: z.int().nonnegative().default(300),
  betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]).default([0.9, 0.99]),
  weightDecay: z.number().nonnegative().default(1e-4),
  clip: z.number().positive().default(1),
  ema: z.number().min(0).lt(1).default(0.999).describe("decay of the averaged weights, which are the result"),
  seed: z.int().nonnegative().default(0),
  checkpointEvery: z.int().positive().default(500),
  threads: z.int().positive().default(2),
});

const pictures = z.string().describe("folder with index.json and its sheets");

const denoiser = z.strictObject({
  task: z.literal("denoiser"),
  pictures,
  tokenizer: z.string().describe("folder of the CLIP tokenizer"),
  unet: z.looseObject({}).describe("unet/config.json of diffusers"),
  textEncoder: z.looseObject({}).describe("text_encoder/config.json of transformers"),
  scheduler: z.strictObject({
    trainSteps: z.int().positive().default(1000),
    betaSchedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2"]).default("squaredcos_cap_v2"),
    betaStart: z.number().positive().default(1e-4),
    betaEnd: z.number().positive().default(0.02),
  }),
  prediction: z.enum(["epsilon", "v_prediction", "sample"]).default("v_prediction"),
  unconditional: share.default(0.1).describe("share of examples with the empty prompt, for guidance"),
  train,
});

const degrees = z.number().min(0).max(180);
const augmentation = z.strictObject({
  flipShare: share.default(defaultAugmentation.flipShare),
  minScale: share.default(0.65),
  maxScale: share.default(defaultAugmentation.maxScale),
  shift: share.default(defaultAugmentation.shift),
  maxRotationDeg: degrees.default(10),
  maxHueDeg: degrees.default(20),
  saturation: share.default(0.25),
  brightness: share.default(0.12),
  whiteShare: share.default(defaultAugmentation.whiteShare),
  minContrast: z.number().nonnegative().default(defaultAugmentation.minContrast),
  anyColourShare: share.default(0.3).describe("share of pictures on a ground of any colour"),
  groundSlope: share.default(0.15).describe("largest change of the ground's brightness from edge to edge"),
  softShare: share.default(0.3).describe("share of softened pictures"),
  softStd: share.default(0.8).describe("largest softening, as a standard deviation in pixels"),
});

const classifier = z.strictObject({
  task: z.literal("classifier"),
  pictures,
  network: z.strictObject({
    widths: z.array(z.int().positive()).min(2).describe("channels per level, from 32×32 pixels on"),
    features: z.int().positive().describe("length of the feature vector"),
    groups: z.int().positive().default(8),
  }),
  heads: z
    .partialRecord(z.enum(LABEL_NAMES), z.number().positive())
    .refine((heads) => Object.keys(heads).length > 0, "needs at least one head")
    .describe("what is told apart, with the weight of its loss"),
  balance: z.enum(["animal", "style"]).default("animal").describe("classes that are drawn equally often"),
  heldOutAnimals: z.array(z.string()).default([]).describe("never shown in training"),
  labelSmoothing: z.number().min(0).lt(1).default(0.1),
  augmentation: augmentation.prefault({}),
  train,
});

/** A pretraining run of a text-to-image model as its configuration describes it, every default filled in. */
export type DenoiserConfig = z.output<typeof denoiser>;
/** A training run of a small network on labelled pictures. */
export type ClassifierConfig = z.output<typeof classifier>;
export type PretrainConfig = DenoiserConfig | ClassifierConfig;

/** Checks a pretraining configuration with `--set` overrides, networks included. Throws ConfigError. */
export function resolvePretrainConfig(file: ConfigData, set: readonly string[], source: string): PretrainConfig {
  const given = applyOverrides(file, set);
  if (given.task === "classifier") return parseConfig(classifier, given, source);
  if (given.task !== "denoiser") {
    throw new ConfigError(
      `${source}:\n  task: must be "denoiser" or "classifier", but ${JSON.stringify(given.task) ?? "nothing"} came.`,
    );
  }
  const config = parseConfig(denoiser, given, source);
  return {
    ...config,
    unet: parseUNetConfig(config.unet),
    textEncoder: parseClipTextConfig(config.textEncoder, `${source}: textEncoder`),
  };
}
