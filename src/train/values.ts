import type { Sampler } from "../diffusion/index.ts";
import type { Objective } from "../objectives/index.ts";
import type { RewardValue } from "../rewards/reward.ts";
import type { RunConfig } from "./config.ts";
import type { Weighting } from "./reward-entry.ts";

type ConfiguredReward = Exclude<RunConfig["reward"], readonly unknown[] | undefined>;

/**
 * A run whose reward, objective or sampler may be a value made by `defineReward`, `defineObjective` or `defineSampler`
 * instead of a kind that a configuration names. In a sum a value says its weight as an entry does: `{ ...mine(), weight: 2 }`.
 */
export type TrainConfig = Omit<RunConfig, "reward" | "objective" | "sampler"> & {
  reward?: ConfiguredReward | RewardValue | readonly (ConfiguredReward | (RewardValue & Weighting))[] | undefined;
  objective: RunConfig["objective"] | Objective;
  sampler: RunConfig["sampler"] | Sampler;
};

const hasMethod = (part: unknown, name: string): boolean =>
  typeof (part as Record<string, unknown> | undefined)?.[name] === "function";

export const isRewardValue = (part: unknown): part is RewardValue => hasMethod(part, "load");
export const isObjectiveValue = (part: unknown): part is Objective => hasMethod(part, "losses");
export const isSamplerValue = (part: unknown): part is Sampler => hasMethod(part, "chain");

/** The same run as data, for config.json: each value becomes its kind and options. */
export function recordedConfig(config: TrainConfig): RunConfig {
  const recorded = (part: unknown): unknown => {
    if (Array.isArray(part)) return part.map(recorded);
    if (isRewardValue(part)) {
      const { weight, normalize } = part as Weighting;
      return { ...asData(part), ...(weight !== undefined && { weight }), ...(normalize && { normalize }) };
    }
    return isObjectiveValue(part) || isSamplerValue(part) ? asData(part) : part;
  };
  const { reward, objective, sampler, ...rest } = config;
  return {
    ...rest,
    ...(reward !== undefined && { reward: recorded(reward) }),
    objective: recorded(objective),
    sampler: recorded(sampler),
  } as RunConfig;
}

const asData = ({ kind, options }: { kind: string; options: unknown }) => ({ kind, ...(options as object) });
