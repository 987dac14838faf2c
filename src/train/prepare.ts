import { kindOf, parseConfig } from "../core/config.ts";
import { ConfigError } from "../core/errors.ts";
import { readPromptFile } from "../data/index.ts";
import type { Chain } from "../diffusion/index.ts";
import { samplerKinds } from "../diffusion/samplers/kinds.ts";
import type { ExactReward } from "../models/exact-target.ts";
import type { Adaptation, Model } from "../models/index.ts";
import { modelKinds } from "../models/kinds.ts";
import type { Objective } from "../objectives/index.ts";
import { objectiveKinds } from "../objectives/kinds.ts";
import { byPrompt, weightedSum } from "../rewards/compose.ts";
import { rewardKinds } from "../rewards/kinds.ts";
import type { Reward } from "../rewards/reward.ts";
import { isWorlds, type RunConfig, rewardList } from "./config.ts";

/** The loaded parts of a run. */
export interface Parts {
  model: Model;
  reward: Reward;
  objective: Objective;
  chain: Chain;
  guidance: number;
  prompts: readonly string[];
  /** Which parameters are trained, and how they enter the model. */
  adaptation: Adaptation;
}

/** Loads what a checked configuration names, and refuses combinations that only the loaded parts show to be wrong. */
export async function prepare(config: RunConfig): Promise<Parts> {
  const prompts = await promptsOf(config);
  const [objectiveKind, objectiveOptions] = kindOf("objective", objectiveKinds, config.objective);
  const objective = objectiveKind(objectiveOptions);
  const [samplerKind, samplerOptions] = kindOf("sampler", samplerKinds, config.sampler);
  const sampler = samplerKind(samplerOptions);
  const model = await loadModel(config);
  const chain = sampler.chain(model);
  if (!chain.stochastic) {
    throw new ConfigError(
      `${objective.kind} needs a chain with noise in every step, but sampler "${sampler.kind}" has a step with σ = 0. Raise sampler.eta, or use "ddpm".`,
    );
  }
  if (objective.needs.includes("memoryless-chain") && !chain.memoryless) {
    throw new ConfigError(
      `${objective.kind} reaches its target only on a chain that forgets its start, but sampler "${sampler.kind}" with these options does not (first ᾱ = ${chain.levels[0]!.alphaBar.toPrecision(3)}). Use "ddpm" with a grid that starts at noise, or an objective without a target law such as "ddpo".`,
    );
  }
  model.tokenize(prompts); // an unknown prompt is an error now, not at its first update
  const reward = await loadReward(config);
  const adaptation = model.adaptation(config.finetune);
  return { model, reward, objective, chain, guidance: sampler.guidance, prompts, adaptation };
}

export async function loadModel(config: Pick<RunConfig, "model" | "prompts">): Promise<Model> {
  const [kind, given] = kindOf("model", modelKinds, config.model);
  const worlds = isWorlds(config.prompts) ? config.prompts : undefined;
  const options = worlds
    ? { ...given, prompts: Object.fromEntries(Object.entries(worlds).map(([name, world]) => [name, world.model])) }
    : given;
  return kind.load(parseConfig(kind.options, options, "model"));
}

export async function loadReward(config: Pick<RunConfig, "reward" | "prompts">): Promise<Reward> {
  const load = (entry: { kind: string }) => {
    const [kind, options] = kindOf("reward", rewardKinds, entry);
    return kind(options).load();
  };
  if (isWorlds(config.prompts)) {
    const entries = Object.entries(config.prompts).map(
      async ([name, { reward }]) => [name, await load(reward)] as const,
    );
    return byPrompt(Object.fromEntries(await Promise.all(entries)));
  }
  const parts = rewardList(config).map(async ({ weight = 1, ...entry }) => ({ reward: await load(entry), weight }));
  return weightedSum(await Promise.all(parts));
}

/** The closed form of each prompt's reward, where it has one. */
export async function rewardsByPrompt(
  config: Pick<RunConfig, "reward" | "prompts">,
): Promise<Readonly<Record<string, ExactReward | undefined>>> {
  const exact = async (part: Pick<RunConfig, "reward" | "prompts">) => {
    const reward = await loadReward(part);
    return reward.differentiable ? reward.exact : undefined;
  };
  if (!isWorlds(config.prompts)) return { "": await exact(config) };
  const entries = Object.entries(config.prompts).map(
    async ([name, { reward }]) => [name, await exact({ reward, prompts: [name] })] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

async function promptsOf({ prompts }: RunConfig): Promise<readonly string[]> {
  if (isWorlds(prompts)) return Object.keys(prompts);
  if (Array.isArray(prompts)) return prompts;
  return readPromptFile((prompts as { file: string }).file);
}
