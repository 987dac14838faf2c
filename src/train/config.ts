import { z } from "zod";
import { applyOverrides, type ConfigData, kindOf, mergeConfig, parseConfig } from "../core/config.ts";
import { ConfigError } from "../core/errors.ts";
import { samplerKinds } from "../diffusion/samplers/kinds.ts";
import { modelKinds } from "../models/kinds.ts";
import { objectiveKinds } from "../objectives/kinds.ts";
import { rewardKinds } from "../rewards/kinds.ts";

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

const train = z.strictObject({
  updates: z.int().positive(),
  trajectories: z.int().positive().describe("trajectories per rollout"),
  updatesPerRollout: z.int().positive().default(1),
  strata: z.int().positive().default(5).describe("transitions per trajectory: one per stratum and the last"),
  accumulate: z.int().positive().default(1).describe("parts a batch of transitions is split into to save memory"),
  seed: z.int().nonnegative().default(0),
  checkpointEvery: z.int().positive().default(50),
  threads: z.int().positive().default(2),
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

const evaluate = z.strictObject({
  every: z.int().nonnegative().default(0).describe("updates between evaluations; 0 = only before and after"),
  imagesPerPrompt: z.int().positive().default(16),
  seed: z.int().nonnegative().default(1000),
});

const finetune = z.strictObject({
  mode: z.enum(["lora", "full"]).default("lora"),
  rank: z.int().positive().default(8),
  alpha: z.number().positive().default(8),
  targets: z.array(z.string()).min(1).default(["*.to_q", "*.to_k", "*.to_v", "*.to_out.0"]),
});

const kind = z.looseObject({ kind: z.string() });
const rewardEntry = z.looseObject({ kind: z.string(), weight: z.number().optional() });
const promptWorld = z.strictObject({ model: z.looseObject({}), reward: kind });

const runSchema = z.strictObject({
  model: kind,
  reward: z.union([rewardEntry, z.array(rewardEntry).min(1)]).optional(),
  sampler: kind,
  objective: kind,
  finetune: finetune.prefault({}),
  prompts: z
    .union([z.strictObject({ file: z.string() }), z.array(z.string()).min(1), z.record(z.string(), promptWorld)])
    .default([""]),
  train,
  evaluate: evaluate.prefault({}),
});

/** A finetuning run as a configuration describes it, every default filled in. */
export type RunConfig = z.output<typeof runSchema>;

export interface ConfigLayers {
  file: ConfigData;
  /** --model and --reward, already as configuration. */
  named?: ConfigData;
  /** --set a.b=v, in order. */
  set?: readonly string[];
  source: string;
}

/**
 * Resolves and checks a whole configuration before anything is loaded: model defaults < file < named < set. Throws
 * ConfigError with one line per problem.
 */
export function resolveConfig({ file, named = {}, set = [], source }: ConfigLayers): RunConfig {
  const given = applyOverrides(mergeConfig(file, named), set);
  const [model] = kindOf("model", modelKinds, given.model);
  const config = parseConfig(runSchema, mergeConfig(model.defaults, given), source);
  return checkKinds(config, source);
}

/** Checks the options of every part, fills in their defaults, and refuses combinations that cannot work. */
function checkKinds(config: RunConfig, source: string): RunConfig {
  const part = <T extends { kind: string }>(
    path: string,
    found: { kind: string; options: z.ZodType },
    options: unknown,
  ) => ({ kind: found.kind, ...(parseConfig(found.options, options, `${source}: ${path}`) as object) }) as T;
  const [sampler, samplerOptions] = kindOf("sampler", samplerKinds, config.sampler);
  const [objective, objectiveOptions] = kindOf("objective", objectiveKinds, config.objective);
  const resolvedObjective = objective(parseConfig(objective.options, objectiveOptions, `${source}: objective`));

  const worlds = isWorlds(config.prompts) ? config.prompts : undefined;
  const rewardsGiven = worlds ? Object.values(worlds).map(({ reward }) => reward) : rewardList(config);
  if (rewardsGiven.length === 0)
    throw new ConfigError(`${source}: reward: is missing. nabla list rewards shows what there is.`);
  for (const entry of rewardsGiven) {
    const { weight: _, ...bare } = entry as ConfigData;
    const [reward, options] = kindOf("reward", rewardKinds, bare);
    parseConfig(reward.options, options, `${source}: reward`);
    if (resolvedObjective.needs.includes("reward-gradient") && !reward.differentiable) {
      const usable = rewardKinds.filter((r) => r.differentiable).map((r) => r.kind);
      throw new ConfigError(
        `${source}: ${objective.kind} needs a differentiable reward, but "${reward.kind}" runs on the host. Use objective.kind "ddpo", or a graph reward: ${usable.join(", ")}.`,
      );
    }
  }
  const { trajectories, strata, accumulate } = config.train;
  const { steps } = part<{ kind: string; steps: number }>("sampler", sampler, samplerOptions);
  const transitions = trajectories * (resolvedObjective.transitions === "all" ? steps : strata + 1);
  if (transitions % accumulate !== 0) {
    throw new ConfigError(
      `${source}: train.accumulate splits the ${transitions} transitions of an update into equal parts, but ${accumulate} does not divide ${transitions}.`,
    );
  }
  const { proximal } = resolvedObjective.options as { proximal?: number };
  if (proximal && config.train.updatesPerRollout === 1) {
    throw new ConfigError(
      `${source}: objective.proximal acts only from the second update on one rollout, but train.updatesPerRollout is 1: its gradient would be zero. Set it to 2 or more, or proximal to 0.`,
    );
  }
  return {
    ...config,
    sampler: part("sampler", sampler, samplerOptions),
    objective: { kind: objective.kind, ...(resolvedObjective.options as object) },
  };
}

export const isWorlds = (prompts: RunConfig["prompts"]): prompts is Record<string, z.output<typeof promptWorld>> =>
  !Array.isArray(prompts) && !("file" in prompts && typeof prompts.file === "string");

/** The rewards of a configuration as a list. */
export function rewardList(config: Pick<RunConfig, "reward">): z.output<typeof rewardEntry>[] {
  if (config.reward === undefined) return [];
  return Array.isArray(config.reward) ? config.reward : [config.reward];
}
