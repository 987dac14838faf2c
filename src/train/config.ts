import { z } from "zod";
import { applyOverrides, type ConfigData, kindOf, mergeConfig, parseConfig, readConfigFile } from "../core/config.ts";
import { ConfigError } from "../core/errors.ts";
import { shippedPath } from "../core/package-root.ts";
import { samplerKinds } from "../diffusion/samplers/kinds.ts";
import { modelKinds } from "../models/kinds.ts";
import { objectiveKinds } from "../objectives/kinds.ts";
import { rewardKinds } from "../rewards/kinds.ts";
import { groupRefusal } from "./group-check.ts";

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
    .union([
      z.strictObject({ file: z.string(), column: z.string().optional() }),
      z.array(z.string()).min(1),
      z.record(z.string(), promptWorld),
    ])
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
  /** False where a model is only sampled and measured. Default true. */
  needsReward?: boolean;
}

/**
 * Resolves and checks a whole configuration before anything is loaded: model defaults < file < named < set. Throws
 * ConfigError with one line per problem.
 */
export function resolveConfig({ file, named = {}, set = [], source, needsReward = true }: ConfigLayers): RunConfig {
  const given = applyOverrides(mergeConfig(file, named), set);
  const [model] = kindOf("model", modelKinds, given.model);
  const sampler = { ...sharedSamplerDefaults(model.defaults.sampler, given.sampler), ...(given.sampler as ConfigData) };
  const config = parseConfig(runSchema, mergeConfig(model.defaults, { ...given, sampler }), source);
  if (needsReward && config.reward === undefined && !isWorlds(config.prompts)) {
    throw new ConfigError(`${source}: reward: is missing. nabla list rewards shows what there is.`);
  }
  return checkKinds(config, source);
}

/** The configuration that a run directory holds, which is resolved already. Throws ConfigError when it is none of ours. */
export const parseStoredConfig = (data: unknown, source: string): RunConfig => parseConfig(runSchema, data, source);

/** Of a model's defaults for its sampler, those that the given kind has as well: steps and guidance, but not grid. */
function sharedSamplerDefaults(defaults: unknown, given: unknown): ConfigData {
  const kind = samplerKinds.find((sampler) => sampler.kind === (given as ConfigData | undefined)?.kind);
  if (!kind) return {};
  const { properties = {} } = z.toJSONSchema(kind.options);
  return Object.fromEntries(Object.entries(defaults as ConfigData).filter(([key]) => key in properties));
}

/**
 * Reads and checks a configuration file: `readConfig("configs/worlds/ring8.yaml", { set: ["train.seed=1"] })`; `configs/…`
 * also means the files that ship with the package. Throws ConfigError.
 */
export async function readConfig(path: string, layers: Pick<ConfigLayers, "named" | "set"> = {}): Promise<RunConfig> {
  return resolveConfig({ ...layers, file: await readConfigFile(shippedPath(path)), source: path });
}

/** Checks the options of every part, fills in their defaults, and refuses combinations that cannot work. */
function checkKinds(config: RunConfig, source: string): RunConfig {
  const [objective, objectiveOptions] = kindOf("objective", objectiveKinds, config.objective);
  const resolvedObjective = objective(parseConfig(objective.options, objectiveOptions, `${source}: objective`));
  const sampler = checkedPart("sampler", samplerKinds, config.sampler, source) as { kind: string; steps: number };
  const checkedReward = <Entry extends z.output<typeof kind>>(entry: Entry): Entry => {
    const { weight, ...bare } = entry as ConfigData;
    const [reward] = kindOf("reward", rewardKinds, bare);
    if (resolvedObjective.needs.includes("reward-gradient") && !reward.differentiable) {
      throw hostRewardRefused(objective.kind, reward.kind, source);
    }
    const checked = checkedPart("reward", rewardKinds, bare, source);
    return { ...checked, ...(weight !== undefined && { weight }) } as Entry;
  };

  const [model] = kindOf("model", modelKinds, config.model);
  const checkedModel = parseConfig(model.options, modelOptions(config), `${source}: model`) as object;
  const worlds = isWorlds(config.prompts) ? config.prompts : undefined;
  const { trajectories, strata, accumulate } = config.train;
  const transitions = trajectories * (resolvedObjective.transitions === "all" ? sampler.steps : strata + 1);
  if (transitions % accumulate !== 0) {
    throw new ConfigError(
      `${source}: train.accumulate splits the ${transitions} transitions of an update into equal parts, but ${accumulate} does not divide ${transitions}.`,
    );
  }
  const refusal =
    groupRefusal(resolvedObjective, config.train) ?? resolvedObjective.refuseReuse(config.train.updatesPerRollout);
  if (refusal) throw new ConfigError(`${source}: ${refusal}`);
  return {
    ...config,
    model: worlds ? config.model : { kind: model.kind, ...checkedModel },
    ...(config.reward && {
      reward: Array.isArray(config.reward) ? config.reward.map(checkedReward) : checkedReward(config.reward),
    }),
    sampler,
    objective: { kind: objective.kind, ...(resolvedObjective.options as object) },
    ...(worlds && {
      prompts: Object.fromEntries(
        Object.entries(worlds).map(([name, world]) => [name, { ...world, reward: checkedReward(world.reward) }]),
      ),
    }),
  };
}

/** A part with the defaults of its kind filled in. */
function checkedPart<K extends { kind: string; options: z.ZodType }>(
  what: string,
  kinds: readonly K[],
  given: unknown,
  source: string,
): { kind: string } {
  const [found, options] = kindOf(what, kinds, given);
  return { kind: found.kind, ...(parseConfig(found.options, options, `${source}: ${what}`) as object) };
}

/** Why an objective that needs ∇r does not take a reward that runs on the host, with the objectives that take any. */
export function hostRewardRefused(objective: string, reward: string, source: string): ConfigError {
  const takeAny = objectiveKinds.filter((make) => !make().needs.includes("reward-gradient"));
  const named = takeAny.map((o) => `"${o.kind}"`).join(" or ");
  const usable = rewardKinds.filter((r) => r.differentiable).map((r) => r.kind);
  return new ConfigError(
    `${source}: ${objective} needs a differentiable reward, but "${reward}" runs on the host. Use objective.kind ${named}, or a graph reward: ${usable.join(", ")}.`,
  );
}

/** What a model kind is given: its own keys, or the model of each prompt where prompts are worlds. */
export function modelOptions({ model, prompts }: Pick<RunConfig, "model" | "prompts">): ConfigData {
  const { kind: _, ...options } = model;
  if (!isWorlds(prompts)) return options;
  const models = Object.entries(prompts).map(([name, world]) => [name, world.model]);
  return { ...options, prompts: Object.fromEntries(models) };
}

export const isWorlds = (prompts: RunConfig["prompts"]): prompts is Record<string, z.output<typeof promptWorld>> =>
  !Array.isArray(prompts) && !("file" in prompts && typeof prompts.file === "string");

/** The rewards of a configuration, or the value in their place, as a list. */
export function rewardList<Entry extends { kind: string }>(config: {
  reward?: Entry | Entry[] | undefined;
}): (Entry & { weight?: number })[] {
  if (config.reward === undefined) return [];
  return Array.isArray(config.reward) ? config.reward : [config.reward];
}
