import { z } from "zod";
import { applyOverrides, type ConfigData, kindOf, mergeConfig, parseConfig, readConfigFile } from "../core/config.ts";
import { ConfigError } from "../core/errors.ts";
import { shippedPath } from "../core/package-root.ts";
import { samplerKinds } from "../diffusion/samplers/kinds.ts";
import { modelKinds } from "../models/kinds.ts";
import { objectiveKinds } from "../objectives/kinds.ts";
import { rewardKinds } from "../rewards/kinds.ts";
import { halfStepsRefusal } from "./half-steps-check.ts";
import { rewardEntry, splitEntry, type Weighting } from "./reward-entry.ts";
import { evaluateSettings, finetuneSettings, trainSettings } from "./settings.ts";
import { trainRefusal } from "./train-check.ts";

const kind = z.looseObject({ kind: z.string() });
const promptWorld = z.strictObject({ model: z.looseObject({}), reward: kind });

const runSchema = z.strictObject({
  model: kind,
  reward: z.union([rewardEntry, z.array(rewardEntry).min(1)]).optional(),
  sampler: kind,
  objective: kind,
  finetune: finetuneSettings.prefault({}),
  prompts: z
    .union([
      z.strictObject({ file: z.string(), column: z.string().optional() }),
      z.array(z.string()).min(1),
      z.record(z.string(), promptWorld),
    ])
    .default([""]),
  train: trainSettings,
  evaluate: evaluateSettings.prefault({}),
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
    const [reward] = kindOf("reward", rewardKinds, entry);
    if (resolvedObjective.needs.includes("reward-gradient") && !reward.differentiable) {
      throw hostRewardRefused(objective.kind, reward.kind, source);
    }
    return checkedPart("reward", rewardKinds, entry, source) as Entry;
  };
  const checkedEntry = (entry: z.output<typeof rewardEntry>): z.output<typeof rewardEntry> => {
    const { weighting, rest } = splitEntry(entry, `${source}: reward`);
    return { ...checkedReward(rest as z.output<typeof kind>), ...weighting };
  };

  const [model] = kindOf("model", modelKinds, config.model);
  const checkedModel = parseConfig(model.options, modelOptions(config), `${source}: model`) as object;
  const worlds = isWorlds(config.prompts) ? config.prompts : undefined;
  const refusal = trainRefusal(resolvedObjective, sampler.steps, config.train);
  if (refusal) throw new ConfigError(`${source}: ${refusal}`);
  const halfSteps = config.evaluate.halfSteps ? halfStepsRefusal(resolvedObjective) : undefined;
  if (halfSteps) throw new ConfigError(`${source}: evaluate.halfSteps: ${halfSteps}`);
  return {
    ...config,
    model: worlds ? config.model : { kind: model.kind, ...checkedModel },
    ...(config.reward && {
      reward: Array.isArray(config.reward) ? config.reward.map(checkedEntry) : checkedEntry(config.reward),
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
  reward?: Entry | readonly Entry[] | undefined;
}): (Entry & Weighting)[] {
  if (config.reward === undefined) return [];
  return [config.reward].flat() as Entry[];
}
