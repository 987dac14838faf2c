import { ConfigError } from "../core/errors.ts";
import type { Rng } from "../core/rng.ts";
import type { Objective, StepDraw } from "../objectives/index.ts";

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

/** Which steps of a trajectory an update trains on; drawn ones depend on (seed, trajectory, update) alone. */
export type TransitionChoice =
  | { kind: "all" }
  | { kind: "strata"; strata: number; rng: Rng; update: number }
  | { kind: "draw"; draw: StepDraw; rng: Rng; update: number };

/** What an objective asks for, on a chain of T steps. Throws ConfigError for a chain that is too short. */
export function transitionChoice(
  objective: Pick<Objective, "kind" | "transitions">,
  T: number,
  drawn: { strata: number; rng: Rng; update: number },
): TransitionChoice {
  const { transitions } = objective;
  if (transitions === "all") return { kind: "all" };
  const { strata, rng, update } = drawn;
  if (transitions === "strata") return { kind: "strata", strata, rng, update };
  return { kind: "draw", draw: stepDraw(objective, T), rng, update };
}

/** How many transitions of each trajectory an update trains on. Throws ConfigError for a chain that is too short. */
export function transitionsPerTrajectory(
  objective: Pick<Objective, "kind" | "transitions">,
  T: number,
  strata: number,
): number {
  if (objective.transitions === "all") return T;
  return objective.transitions === "strata" ? strata + 1 : stepDraw(objective, T).count;
}

/** The draw of an objective that draws its steps. Throws ConfigError for a chain that is too short. */
export function stepDraw({ kind, transitions }: Pick<Objective, "kind" | "transitions">, T: number): StepDraw {
  if (typeof transitions !== "function")
    throw new Error(`${kind} reads a path, but does not draw the steps it starts at`);
  const draw = transitions(T);
  if (draw.from < 0) {
    throw new ConfigError(
      `${kind} goes back ${T - draw.from} steps from the end of the chain, but that has sampler.steps = ${T}. Raise sampler.steps, or let the objective go back fewer.`,
    );
  }
  return draw;
}

/** The transitions of one update, trajectory by trajectory. */
export function chooseTransitions(trajectories: number, T: number, choice: TransitionChoice): TransitionIndex[] {
  return Array.from({ length: trajectories }, (_, trajectory) =>
    stepsOf(trajectory, T, choice).map((i) => ({ trajectory, i })),
  ).flat();
}

function stepsOf(trajectory: number, T: number, choice: TransitionChoice): number[] {
  if (choice.kind === "all") return Array.from({ length: T }, (_, i) => i);
  const at = { sample: trajectory, step: choice.update };
  if (choice.kind === "strata") return stratifiedSteps(T, choice.strata, choice.rng, at);
  const { count, from, below } = choice.draw;
  return [...choice.rng.integers(count, below - from, { purpose: "transitions", ...at })].map((k) => from + k);
}
