import { kindOf, parseConfig } from "../core/config.ts";
import { ConfigError, NablaError } from "../core/errors.ts";
import { shippedPath } from "../core/package-root.ts";
import { readPromptFile } from "../data/index.ts";
import type { Chain, Sampler } from "../diffusion/index.ts";
import { samplerKinds } from "../diffusion/samplers/kinds.ts";
import { hubFromEnvironment, type OpenHub } from "../hub/index.ts";
import type { ExactReward } from "../models/exact-target.ts";
import type { Adaptation, Model } from "../models/index.ts";
import { modelKinds } from "../models/kinds.ts";
import type { Objective } from "../objectives/index.ts";
import { objectiveKinds } from "../objectives/kinds.ts";
import { byPrompt, partsOf, weightedSum } from "../rewards/compose.ts";
import { rewardKinds } from "../rewards/kinds.ts";
import { noReward } from "../rewards/no-reward.ts";
import type { Reward, RewardPart } from "../rewards/reward.ts";
import { adaptationFor } from "./adaptation-for.ts";
import { checkChain, checkParts } from "./chain-check.ts";
import { hostRewardRefused, isWorlds, modelOptions, type RunConfig, rewardList } from "./config.ts";
import { withLocalPaths } from "./hub-paths.ts";
import { numbersOf, splitEntry } from "./reward-entry.ts";
import { isObjectiveValue, isRewardValue, isSamplerValue, type TrainConfig } from "./values.ts";

/** The loaded parts that sampling and measuring need. */
export interface SamplingParts {
  model: Model;
  /** `noReward` where the configuration has none. */
  reward: Reward;
  chain: Chain;
  guidance: number;
  prompts: readonly string[];
  /** Which parameters are trained, and how they enter the model. */
  adaptation: Adaptation;
}

/** The loaded parts of a run. */
export interface Parts extends SamplingParts {
  objective: Objective;
}

/** Loads what a checked configuration names, and refuses combinations that only the loaded parts show to be wrong. */
export async function prepare(config: TrainConfig, openHub: OpenHub = hubFromEnvironment): Promise<Parts> {
  const objective = objectiveOf(config);
  const sampler = samplerOf(config);
  checkChain(objective, sampler);
  const parts = await prepareSampling(config, openHub);
  checkParts(objective, sampler, parts);
  const { reward } = parts;
  if (objective.needs.includes("reward-gradient") && !reward.differentiable) {
    const onHost = partsOf(reward).find((part) => !part.reward.differentiable)!;
    throw hostRewardRefused(objective.kind, onHost.reward.kind, "reward");
  }
  return { ...parts, adaptation: adaptationFor(objective, parts), objective };
}

/** Loads model, sampler and reward, without an objective: for sampling and measuring. */
export async function prepareSampling(
  config: Pick<TrainConfig, "model" | "prompts" | "reward" | "sampler" | "finetune">,
  openHub: OpenHub = hubFromEnvironment,
): Promise<SamplingParts> {
  const prompts = await promptsOf(config);
  const sampler = samplerOf(config);
  const model = await loadModel(config, openHub);
  const chain = sampler.chain(model);
  model.tokenize(prompts); // an unknown prompt is an error now, not at its first update
  const rewarded = config.reward !== undefined || isWorlds(config.prompts);
  const reward = rewarded ? await loadReward(config, openHub) : noReward;
  const adaptation = model.adaptation(config.finetune);
  return { model, reward, chain, guidance: sampler.guidance, prompts, adaptation };
}

/** The objective that a configuration names, or the value in its place. */
export function objectiveOf({ objective }: Pick<TrainConfig, "objective">): Objective {
  if (isObjectiveValue(objective)) return objective;
  const [kind, options] = kindOf("objective", objectiveKinds, objective);
  return kind(options);
}

function samplerOf({ sampler }: Pick<TrainConfig, "sampler">): Sampler {
  if (isSamplerValue(sampler)) return sampler;
  const [kind, options] = kindOf("sampler", samplerKinds, sampler);
  return kind(options);
}

export async function loadModel(
  config: Pick<RunConfig, "model" | "prompts">,
  openHub: OpenHub = hubFromEnvironment,
): Promise<Model> {
  const [kind] = kindOf("model", modelKinds, config.model);
  return kind.load(await withLocalPaths(parseConfig(kind.options, modelOptions(config), "model"), openHub));
}

/** The reward of a configuration, a sum of several. Throws ConfigError for one whose normalisation is not measured yet. */
export async function loadReward(
  config: Pick<TrainConfig, "reward" | "prompts">,
  openHub: OpenHub = hubFromEnvironment,
): Promise<Reward> {
  const load = async (entry: { kind: string }) => {
    if (isRewardValue(entry)) return entry.load();
    const [kind, options] = kindOf("reward", rewardKinds, entry);
    return kind(await withLocalPaths(options, openHub)).load();
  };
  if (isWorlds(config.prompts)) {
    const entries = Object.entries(config.prompts).map(
      async ([name, { reward }]) => [name, await load(reward)] as const,
    );
    return byPrompt(Object.fromEntries(await Promise.all(entries)));
  }
  const parts = rewardList(config).map(async (entry): Promise<RewardPart> => {
    const { weighting, rest } = splitEntry(entry, "reward");
    const { weight = 1, normalize } = weighting;
    const normalization = normalize && numbersOf(normalize);
    if (normalize && !normalization) {
      throw new ConfigError(
        `reward: "${entry.kind}" is to be normalised by ${normalize.samples} samples of the pretrained model, which only a training run draws (nabla train, or train in code). Elsewhere give normalize: { mean: …, std: … }.`,
      );
    }
    return { reward: await load(rest), weight, ...(normalization && { normalization }) };
  });
  return weightedSum(await Promise.all(parts));
}

/** The closed form of each prompt's reward, where it has one. */
export async function rewardsByPrompt(
  config: Pick<TrainConfig, "reward" | "prompts">,
): Promise<Readonly<Record<string, ExactReward | undefined>>> {
  const exact = async (part: Pick<TrainConfig, "reward" | "prompts">) => {
    const reward = await loadReward(part);
    return reward.differentiable ? reward.exact : undefined;
  };
  if (!isWorlds(config.prompts)) return { "": await exact(config) };
  const entries = Object.entries(config.prompts).map(
    async ([name, { reward }]) => [name, await exact({ reward, prompts: [name] })] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

async function promptsOf({ prompts }: Pick<RunConfig, "prompts">): Promise<readonly string[]> {
  if (isWorlds(prompts)) return Object.keys(prompts);
  if (Array.isArray(prompts)) return prompts;
  const { file, column } = prompts as { file: string; column?: string };
  return promptFile(file, column);
}

/**
 * The prompts of a text, CSV, JSON or JSON Lines file; `column` names the column or key that holds them. Throws ConfigError
 * when the file cannot be read or has no prompts, FormatError when it does not follow its format.
 */
export async function promptFile(path: string, column?: string): Promise<string[]> {
  let prompts: string[];
  try {
    prompts = await readPromptFile(shippedPath(path), { column });
  } catch (error) {
    if (error instanceof NablaError) throw error;
    throw new ConfigError(`The prompt file ${path} cannot be read (${(error as NodeJS.ErrnoException).code}).`);
  }
  if (prompts.length === 0) throw new ConfigError(`The prompt file ${path} holds no prompt: it needs at least one.`);
  return prompts;
}
