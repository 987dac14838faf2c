import type { Objective } from "../objectives/index.ts";
import type { RunConfig } from "./config.ts";
import { transitionsPerTrajectory } from "./transitions.ts";

type Shape = Pick<RunConfig["train"], "trajectories" | "strata" | "updatesPerRollout">;

/**
 * Evaluations of the denoiser in one update, the mean over the updates on a rollout: drawing trajectories takes T each, and
 * the objective says what it takes besides. How they are counted stands at `Evaluations`.
 */
export function evaluationsPerUpdate(objective: Objective, T: number, shape: Shape): number {
  const { trajectories, strata, updatesPerRollout } = shape;
  const transitions = transitionsPerTrajectory(objective, T, strata);
  const { perRollout = 0, perUpdate } = objective.evaluations({ T, transitions });
  return trajectories * ((T + perRollout) / updatesPerRollout + perUpdate);
}
