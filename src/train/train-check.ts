import type { Objective } from "../objectives/index.ts";
import type { RunConfig } from "./config.ts";
import { groupRefusal } from "./group-check.ts";
import { transitionsPerTrajectory } from "./transitions.ts";

/** Why updates of this shape do not suit an objective on a chain of `steps`, with the way out; undefined when they do. */
export function trainRefusal(objective: Objective, steps: number, train: RunConfig["train"]): string | undefined {
  const { trajectories, strata, accumulate, updatesPerRollout } = train;
  const transitions = trajectories * transitionsPerTrajectory(objective, steps, strata);
  if (transitions % accumulate !== 0) {
    let fits = Math.min(accumulate, transitions);
    while (transitions % fits !== 0) fits--;
    return `train.accumulate splits the ${transitions} transitions of an update into equal parts, but ${accumulate} does not divide ${transitions}; ${fits} does.`;
  }
  return groupRefusal(objective, train) ?? objective.refuseReuse(updatesPerRollout);
}
