import { ConfigError } from "../core/errors.ts";
import { findCheckpoint, readCheckpoint } from "../run/index.ts";
import { halfStepsRefusal } from "../train/half-steps-check.ts";
import { objectiveOf } from "../train/prepare.ts";
import type { TrainConfig } from "../train/values.ts";
import type { HalfSteps } from "./flow-gradient.ts";
import type { OpenedModel } from "./open-model.ts";

/**
 * What half steps need of a run, from the newest checkpoint, which keeps the flow network. Throws ConfigError for an objective
 * without one and for a run without checkpoints.
 */
export async function halfStepsOfRun(run: string, config: Pick<TrainConfig, "objective">): Promise<HalfSteps> {
  const objective = objectiveOf(config);
  const refusal = halfStepsRefusal(objective);
  if (refusal) throw new ConfigError(refusal);
  const checkpoint = await findCheckpoint(run);
  const flow = checkpoint && (await readCheckpoint(checkpoint.path)).sections.flow;
  if (!flow) {
    throw new ConfigError(
      `Half steps need the flow network, which the checkpoints of a run keep, but ${run}/checkpoints has none that is whole. Sample in whole steps, or train again.`,
    );
  }
  return { objective, flow };
}

/** The same of what a command was given: a run, whose own reward is the one that its flow network knows. Throws ConfigError. */
export function halfStepsOf(
  path: string,
  { config, policy }: OpenedModel,
  reward: string | undefined,
): Promise<HalfSteps> {
  if (!policy) {
    throw new ConfigError(
      `Half steps follow the flow network of a finetuning, but ${path} is a pretrained model. Give a run directory, or leave out --half-steps.`,
    );
  }
  if (reward !== undefined) {
    throw new ConfigError(
      `Half steps follow the reward that the run was trained with, but --reward ${reward} came. Leave out --reward or --half-steps.`,
    );
  }
  return halfStepsOfRun(path, config);
}
