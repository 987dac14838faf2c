import type { Rng } from "../core/rng.ts";

/** One transition of one trajectory: x_i → x_{i+1}. */
export interface TransitionIndex {
  trajectory: number;
  i: number;
}

/**
 * Step indices of one trajectory to train on: one uniform index per stratum of equal length, and always the last step,
 * where the reward enters. If the last stratum draws it too, it stays twice (docs/methods.md B.9).
 */
export function stratifiedSteps(T: number, strata: number, rng: Rng, at: { sample: number; step: number }): number[] {
  const u = rng.uniform(strata, { purpose: "transitions", ...at });
  const drawn = Array.from({ length: strata }, (_, k) => Math.floor(((k + u[k]!) * T) / strata)); // u < 1, so below T
  return [...drawn, T - 1];
}

/** The transitions of one update, trajectory by trajectory. */
export function chooseTransitions(
  trajectories: number,
  T: number,
  choice: { kind: "all" } | { kind: "strata"; strata: number; rng: Rng; update: number },
): TransitionIndex[] {
  return Array.from({ length: trajectories }, (_, trajectory) => {
    const steps =
      choice.kind === "all"
        ? Array.from({ length: T }, (_, i) => i)
        : stratifiedSteps(T, choice.strata, choice.rng, { sample: trajectory, step: choice.update });
    return steps.map((i) => ({ trajectory, i }));
  }).flat();
}
