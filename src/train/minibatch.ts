import { ConfigError } from "../core/errors.ts";
import type { Program, Values } from "../runtime/index.ts";
import { levelRow, rowsOf, transitionRow } from "../sample/chain-columns.ts";
import type { Trajectories } from "../sample/chain-sampler.ts";
import type { Conditions } from "../sample/conditions.ts";
import { promptFeaturesOf } from "../sample/image-scorer.ts";
import { sizeOf } from "../tensor/index.ts";
import { partsRefused } from "./group-check.ts";
import type { Parts } from "./prepare.ts";
import type { Returns } from "./return-programs.ts";
import { stepDraw, type TransitionIndex } from "./transitions.ts";

/** A rollout and what was computed from it. Everything a transition needs is looked up by its own trajectory. */
export interface Rollout {
  trajectories: Trajectories;
  rewards: Float32Array;
  /** Mean score of each part of a sum of rewards, as the part gives it. */
  rewardParts?: Readonly<Record<string, number>>;
  advantages?: Float32Array;
  returns?: Returns;
}

/** Values of the update program's inputs for some transitions; a name that the program does not have is left out. */
export function minibatch(
  parts: Parts,
  conditions: Conditions,
  rollout: Rollout,
  chosen: readonly TransitionIndex[],
  wanted: Program["inputs"],
): Values {
  const { model, chain, reward, objective } = parts;
  const { states, outputs, prompts } = rollout.trajectories;
  const size = sizeOf(model.shape);
  const ownPrompts = chosen.map(({ trajectory }) => prompts[trajectory]!);
  const pick = (table: (t: TransitionIndex) => Float32Array) => {
    const out = new Float32Array(chosen.length * size);
    chosen.forEach((t, b) => {
      out.set(table(t).subarray(t.trajectory * size, (t.trajectory + 1) * size), b * size);
    });
    return out;
  };
  const indices = chosen.map(({ i }) => i);
  const providers: Record<string, () => Float32Array | Int32Array> = {
    x: () => pick(({ i }) => states[i]!),
    xNext: () => pick(({ i }) => states[i + 1]!),
    xEnd: () => pick(() => states[chain.T]!),
    "x.columns": () => rowsOf((i) => levelRow(chain, i), indices),
    "xNext.columns": () => rowsOf((i) => levelRow(chain, i + 1), indices),
    transition: () => rowsOf((i) => transitionRow(chain, i), indices),
    "transition.step": () => Int32Array.from(indices),
    "path.x": () => pick(() => states[stepDraw(objective, chain.T).from]!),
    "path.noise": () => pathNoise(parts, rollout, chosen, size),
    "path.start": () => Int32Array.from(indices),
    oldOutput: () => pick(({ i }) => outputs[i]!),
    promptFeatures: () => promptFeaturesOf(reward, ownPrompts),
    reward: () => Float32Array.from(chosen, ({ trajectory }) => rollout.rewards[trajectory]!),
    trajectory: () => wholeTrajectories(parts, chosen),
    samePrompt: () => comparablePrompts(parts, chosen, prompts),
    advantage: () => Float32Array.from(chosen, ({ trajectory }) => rollout.advantages![trajectory]!),
    oldLogProb: () => oldLogProbs(parts, rollout, chosen, size),
    "returns.next": () => pick(({ i }) => rollout.returns!.next[i]!),
    "returns.pulledBack": () => pick(({ i }) => rollout.returns!.pulledBack[i]!),
  };
  const values: Record<string, Float32Array | Int32Array> = { ...conditions.feeds(ownPrompts) };
  for (const [name, provide] of Object.entries(providers)) if (name in wanted) values[name] = provide();
  return values;
}

/** σ_k z_k = x_{k+1} − μ(x_k) of every step of the path, from the outputs stored when the trajectory was drawn. [K, B, …shape] */
function pathNoise({ chain, objective }: Parts, rollout: Rollout, chosen: readonly TransitionIndex[], size: number) {
  const { states, outputs } = rollout.trajectories;
  const steps = chain.steps.slice(stepDraw(objective, chain.T).from);
  const noise = new Float32Array(steps.length * chosen.length * size);
  let at = 0;
  for (const { i, d1, d2 } of steps) {
    for (const { trajectory } of chosen) {
      for (let k = trajectory * size; k < (trajectory + 1) * size; k++) {
        noise[at++] = states[i + 1]![k]! - d1 * states[i]![k]! - d2 * outputs[i]![k]!;
      }
    }
  }
  return noise;
}

/** Element-mean log N(x_{i+1}; μ_old, σ²) up to log √2π, from the outputs stored when the trajectory was drawn. */
function oldLogProbs({ chain }: Parts, rollout: Rollout, chosen: readonly TransitionIndex[], size: number) {
  const { states, outputs } = rollout.trajectories;
  return Float32Array.from(chosen, ({ trajectory, i }) => {
    const { d1, d2, sigma } = chain.steps[i]!;
    let squares = 0;
    for (let k = trajectory * size; k < (trajectory + 1) * size; k++) {
      const mean = d1 * states[i]![k]! + d2 * outputs[i]![k]!;
      squares += ((states[i + 1]![k]! - mean) / sigma) ** 2;
    }
    return -squares / (2 * size) - Math.log(sigma);
  });
}

/** The trajectory of each transition. Throws ConfigError unless every trajectory is here with all its steps. */
function wholeTrajectories({ chain, objective }: Parts, chosen: readonly TransitionIndex[]): Int32Array {
  const steps = new Map<number, number>();
  for (const { trajectory } of chosen) steps.set(trajectory, (steps.get(trajectory) ?? 0) + 1);
  if ([...steps.values()].some((count) => count !== chain.T)) throw splitRefused(objective.kind, "whole trajectories");
  return Int32Array.from(chosen, ({ trajectory }) => trajectory);
}

/** A number for the prompt of each transition. Throws ConfigError where a prompt has one trajectory only. */
function comparablePrompts(
  { objective }: Parts,
  chosen: readonly TransitionIndex[],
  prompts: readonly string[],
): Int32Array {
  const trajectories = new Set(chosen.map(({ trajectory }) => trajectory));
  const counts = new Map<string, number>();
  for (const k of trajectories) counts.set(prompts[k]!, (counts.get(prompts[k]!) ?? 0) + 1);
  if (Math.min(...counts.values()) < 2) throw splitRefused(objective.kind, "two trajectories or more of each prompt");
  const names = [...counts.keys()];
  return Int32Array.from(chosen, ({ trajectory }) => names.indexOf(prompts[trajectory]!));
}

const splitRefused = (kind: string, needed: string) => new ConfigError(partsRefused(kind, needed));
