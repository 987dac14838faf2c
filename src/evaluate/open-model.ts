import { existsSync } from "node:fs";
import { join } from "node:path";
import { kindOf, parseConfig } from "../core/config.ts";
import { ConfigError } from "../core/errors.ts";
import { addPrefix, type NamedArrays } from "../core/named-arrays.ts";
import { shippedPath } from "../core/package-root.ts";
import { samplerKinds } from "../diffusion/samplers/kinds.ts";
import { explicitHubId, hubIdOf, type OpenHub } from "../hub/index.ts";
import { rewardKinds } from "../rewards/kinds.ts";
import { findCheckpoint, readCheckpoint, readRunConfig } from "../run/index.ts";
import { initialLawPrefix } from "../sample/initial-law.ts";
import { isWorlds, parseStoredConfig, type RunConfig, resolveConfig, rewardList } from "../train/config.ts";
import { prepareSampling, type SamplingParts } from "../train/prepare.ts";
import { splitEntry } from "../train/reward-entry.ts";
import { readSafetensorsFile } from "../weights/index.ts";

export interface OpenModelOptions {
  /** Instead of the run's prompts. */
  prompts?: readonly string[] | undefined;
  /** For a model folder, which has no prompts of its own. Default: the empty prompt. */
  folderPrompts?: readonly string[];
  /** Reward to score with, instead of the run's: its kind, or its kind and options. */
  reward?: string | { readonly kind: string } | undefined;
  /** Sampler options, instead of the run's. */
  steps?: number | undefined;
  guidance?: number | undefined;
  /** Draws by the sampler's ODE: the same levels, no noise. */
  ode?: boolean;
  /** Where hub ids are loaded from. Default: the hub of the environment. */
  openHub?: OpenHub | undefined;
}

/** A model ready to be sampled and measured. */
export interface OpenedModel {
  config: RunConfig;
  parts: SamplingParts;
  /** The trained weights of a run; undefined for a pretrained model. */
  policy: NamedArrays | undefined;
}

export const bundledModel = "assets/models/animals-32";

/**
 * Opens a run directory (final.safetensors, or its newest checkpoint), the run directory of a pretraining, a diffusers folder,
 * or one of the hub (`hf:owner/name@revision`). Throws ConfigError for anything else.
 */
export async function openModel(path: string, options: OpenModelOptions = {}): Promise<OpenedModel> {
  const folder = shippedPath(path);
  if (explicitHubId(path) || existsSync(join(folder, "model_index.json"))) return openFolder(path, options);
  if (!existsSync(join(folder, "config.json"))) {
    throw new ConfigError(
      `A model is a run directory (with config.json) or a diffusers folder (with model_index.json), but ${path} ${existsSync(folder) ? "has neither" : "does not exist"}.${hubIdOf(path) ? ` If it is a model of the hub, give hf:${path}.` : ""}`,
    );
  }
  const stored = await readRunConfig(folder);
  if ("task" in stored) return openFolder(pretrainedFolder(path), options);
  const run = parseStoredConfig(stored, join(path, "config.json"));
  const policy = await trainedWeights(path, run);
  return open(run, options, policy);
}

/** A diffusers folder with the defaults of its kind. */
function openFolder(path: string, options: OpenModelOptions): Promise<OpenedModel> {
  const file = { model: { kind: "diffusers", path } };
  const { folderPrompts, prompts = folderPrompts } = options;
  return open(resolveConfig({ file, source: path, needsReward: false }), { ...options, prompts }, undefined);
}

function pretrainedFolder(run: string): string {
  const folder = join(run, "model");
  if (existsSync(join(folder, "model_index.json"))) return folder;
  throw new ConfigError(`${run} is a pretraining without a finished text-to-image model: there is no ${folder}.`);
}

async function open(
  stored: RunConfig,
  { prompts, reward, steps, guidance, ode = false, openHub }: OpenModelOptions,
  policy: NamedArrays | undefined,
): Promise<OpenedModel> {
  const [kind, given] = kindOf("sampler", samplerKinds, stored.sampler);
  const changed = { ...given, ...(steps !== undefined && { steps }), ...(guidance !== undefined && { guidance }) };
  const { reward: own, ...rest } = stored;
  const scored = reward === undefined ? knownReward(own) : typeof reward === "string" ? { kind: reward } : reward;
  const options = parseConfig(kind.options, changed, "sampler") as object;
  const worlds = isWorlds(stored.prompts);
  if (worlds && reward)
    throw new ConfigError("The prompts of this world have rewards of their own: leave out --reward.");
  const config: RunConfig = {
    ...rest,
    sampler: ode ? kind.ode(options) : { kind: kind.kind, ...options },
    ...(scored && { reward: checkedReward(scored) }),
    prompts: prompts && !worlds ? [...prompts] : stored.prompts,
  };
  const parts = await prepareSampling(config, openHub);
  if (prompts) parts.model.tokenize(prompts); // a world knows its own only
  return { config, parts: { ...parts, prompts: prompts ?? parts.prompts }, policy };
}

/** A run's reward, unless it was a value that no configuration can name. */
function knownReward(reward: RunConfig["reward"]): RunConfig["reward"] {
  const known = (kind: string) => rewardKinds.some((r) => r.kind === kind);
  return rewardList({ reward }).every((entry) => known(entry.kind)) ? reward : undefined;
}

function checkedReward(reward: NonNullable<RunConfig["reward"]>): NonNullable<RunConfig["reward"]> {
  for (const given of rewardList({ reward })) {
    const { rest: entry } = splitEntry(given, "reward");
    const [kind, options] = kindOf("reward", rewardKinds, entry);
    parseConfig(kind.options, options, "reward");
  }
  return reward;
}

/** What a run has trained: final.safetensors, or its newest checkpoint. Throws ConfigError when there is neither. */
export async function trainedWeights(run: string, { train }: Pick<RunConfig, "train">): Promise<NamedArrays> {
  const final = join(run, "final.safetensors");
  if (existsSync(final)) return (await readSafetensorsFile(final)).tensors;
  const checkpoint = await findCheckpoint(run);
  if (!checkpoint) {
    throw new ConfigError(
      `${run} has neither final.safetensors nor a checkpoint yet. Let it train on, or give the folder of a model.`,
    );
  }
  const { sections } = await readCheckpoint(checkpoint.path);
  const initialLaw = addPrefix(sections.initial ?? {}, initialLawPrefix);
  return { ...sections[train.ema > 0 ? "ema" : "policy"]!, ...initialLaw };
}
