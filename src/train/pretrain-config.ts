import { z } from "zod";
import { applyOverrides, type ConfigData, parseConfig } from "../core/config.ts";
import { parseClipTextConfig } from "../models/clip-text.ts";
import { parseUNetConfig } from "../models/unet.ts";

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

const schema = z.strictObject({
  task: z.literal("denoiser"),
  pictures: z.string().describe("folder with index.json and its sheets"),
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
  unconditional: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe("share of examples with the empty prompt, for guidance"),
  train,
});

/** A pretraining run as its configuration describes it, every default filled in. */
export type PretrainConfig = z.output<typeof schema>;

/** Checks a pretraining configuration with `--set` overrides, networks included. Throws ConfigError. */
export function resolvePretrainConfig(file: ConfigData, set: readonly string[], source: string): PretrainConfig {
  const config = parseConfig(schema, applyOverrides(file, set), source);
  return {
    ...config,
    unet: parseUNetConfig(config.unet),
    textEncoder: parseClipTextConfig(config.textEncoder, `${source}: textEncoder`),
  };
}
