import { z } from "zod";
import { nodeProviders } from "../runtime/providers.ts";

const optimizer = z.strictObject({
  lr: z.number().positive().describe("AdamW step size"),
  betas: z.tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)]).default([0.9, 0.95]),
  weightDecay: z.number().nonnegative().default(0),
  clip: z.number().positive().default(1).describe("largest global gradient norm"),
  decayAt: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe("fraction of the updates after which lr is × 0.1; 1 = never"),
});

/** `train` of a configuration. */
export const trainSettings = z.strictObject({
  updates: z.int().positive(),
  trajectories: z.int().positive().describe("trajectories per rollout"),
  updatesPerRollout: z.int().positive().default(1),
  strata: z.int().positive().default(5).describe("transitions per trajectory: one per stratum and the last"),
  accumulate: z.int().positive().default(1).describe("parts a batch of transitions is split into to save memory"),
  seed: z.int().nonnegative().default(0),
  checkpointEvery: z.int().positive().default(50),
  threads: z.int().positive().default(2),
  provider: z.enum(nodeProviders).default("cpu").describe("what runs the operators"),
  ema: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe("decay of the averaged policy that is saved and evaluated; 0 = none"),
  block: z.int().positive().default(32).describe("trajectories advanced together while sampling"),
  optimizer,
  flowOptimizer: optimizer,
});

/** `evaluate` of a configuration. */
export const evaluateSettings = z.strictObject({
  every: z.int().nonnegative().default(0).describe("updates between evaluations; 0 = only before and after"),
  imagesPerPrompt: z.int().positive().default(16),
  seed: z.int().nonnegative().default(1000),
  beta: z
    .number()
    .positive()
    .optional()
    .describe("beta of the target that samples are measured against; default: the objective's, 1 where it has none"),
  halfSteps: z
    .boolean()
    .optional()
    .describe(
      "measure the finished run in half steps, as nabla sample --half-steps draws; experimental; default: false",
    ),
});

/** `finetune` of a configuration. */
export const finetuneSettings = z.strictObject({
  mode: z.enum(["lora", "full"]).default("lora"),
  rank: z.int().positive().default(8),
  alpha: z.number().positive().default(8),
  targets: z.array(z.string()).min(1).default(["*.to_q", "*.to_k", "*.to_v", "*.to_out.0"]),
});
