import type { Objective } from "../objectives/index.ts";
import type { RunConfig } from "./config.ts";

/**
 * Why the trajectories of a rollout do not make whole groups, or the parts of an update lack what the losses compare, with
 * the way out; undefined when all fits.
 */
export function groupRefusal(
  { kind, groups }: Pick<Objective, "kind" | "groups">,
  { trajectories, accumulate }: Pick<RunConfig["train"], "trajectories" | "accumulate">,
): string | undefined {
  if (!groups) return undefined;
  const { size } = groups;
  if (trajectories % size !== 0) {
    const above = Math.ceil(trajectories / size) * size;
    return `${kind} draws groups of ${size} trajectories of one prompt, but train.trajectories is ${trajectories}, which objective.groupSize does not divide. Set train.trajectories to ${above}, or objective.groupSize to another divisor of it, 2 or more.`;
  }
  if (!groups.comparedInLoss) return undefined;
  if (trajectories % accumulate !== 0) return partsRefused(kind, "whole trajectories");
  // Ends of groups and of parts lie at the multiples of two numbers, and nowhere nearer to each other than their divisor.
  const fewest = greatestCommonDivisor(size, trajectories / accumulate);
  return fewest < 2 ? partsRefused(kind, "two trajectories or more of each prompt") : undefined;
}

/** Why parts of an update that lack what the losses compare do not fit. */
export const partsRefused = (kind: string, needed: string): string =>
  `${kind} needs ${needed} in each part of an update, but train.accumulate makes parts that lack them. Set it to 1, or to a divisor of train.trajectories / objective.groupSize.`;

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b));
