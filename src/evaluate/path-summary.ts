import { imagesByPrompt } from "../metrics/features.ts";
import { importance, pathKl } from "../metrics/index.ts";
import type { PathMeasures } from "../run/index.ts";
import { isObjectiveValue, type TrainConfig } from "../train/values.ts";
import type { PathSums } from "./path-ratio.ts";

/** The law p_pre^η exp(β r), with η the prior strength. */
export interface TargetLaw {
  readonly beta: number;
  readonly priorStrength: number;
}

/** β and η of the law that a run is measured against: those that its objective aims at, 1 where it states none. */
export function targetLaw({ objective, evaluate }: Pick<TrainConfig, "objective" | "evaluate">): TargetLaw {
  const options = (isObjectiveValue(objective) ? objective.options : objective) as Partial<TargetLaw>;
  const { beta = 1, priorStrength = 1 } = options;
  return { beta: evaluate.beta ?? beta, priorStrength };
}

/** β of an objective whose target is p_pre exp(β r); undefined for another prior strength. */
export function measuredBeta(config: Pick<TrainConfig, "objective" | "evaluate">): number | undefined {
  const { beta, priorStrength } = targetLaw(config);
  return priorStrength === 1 ? beta : undefined;
}

/** log w = β r − log π_θ/π_# of each sample: weights from the finetuned sampler to the exactly tilted pretrained one. */
export const pathLogWeights = (rewards: ArrayLike<number>, { logRatio }: PathSums, beta: number): Float64Array =>
  logRatio.map((ratio, j) => beta * rewards[j]! - ratio);

/** ELBO, effective share of the weights within a prompt, averaged over prompts, and the path KL. */
export function pathMeasures(
  rewards: ArrayLike<number>,
  prompts: readonly string[],
  paths: PathSums,
  beta: number,
): PathMeasures {
  const logWeights = pathLogWeights(rewards, paths, beta);
  const groups = [...imagesByPrompt(prompts).values()];
  const shares = groups.map((members) => importance(members.map((j) => logWeights[j]!)).value);
  return { elbo: mean(logWeights), importanceEss: mean(shares), pathKl: pathKl(paths.kl).value };
}

const mean = (values: ArrayLike<number>): number => {
  let total = 0;
  for (let j = 0; j < values.length; j++) total += values[j]!;
  return total / values.length;
};
