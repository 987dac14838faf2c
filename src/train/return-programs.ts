import type { Program, Runtime, Values } from "../runtime/index.ts";
import { levelRow, rowsOf } from "../sample/chain-columns.ts";
import type { Trajectories } from "../sample/chain-sampler.ts";
import type { Conditions } from "../sample/conditions.ts";
import { promptFeaturesOf } from "../sample/image-scorer.ts";
import { input, sizeOf } from "../tensor/index.ts";
import type { Parts } from "./prepare.ts";
import { stateGraph, type TransitionGraphOptions } from "./state-graph.ts";

/** For step i of a trajectory: next[i] = A_{i+1} and pulledBack[i] = R_i, [N, …shape]. k-step returns fill drawn steps only. */
export interface Returns {
  next: readonly Float32Array[];
  pulledBack: readonly Float32Array[];
}

/** `value` gives h at any level, h_T among them; `step` gives J_#ᵀ of an adjoint, and h where λ-returns mix it in. */
export interface ReturnPrograms {
  value: Program;
  step: Program;
  /** Rows of each. */
  block: number;
  release(): Promise<void>;
}

export async function compileReturns(runtime: Runtime, options: TransitionGraphOptions): Promise<ReturnPrograms> {
  const state = stateGraph(options, "x");
  const returns = options.objective.returns!;
  const h = returns.value(state);
  const pulledBack = state.reference.pullBack({ mean: input("adjoint", state.x.shape) });
  const value = await runtime.compile({ value: h });
  const mixed = "lambda" in returns && returns.lambda < 1;
  const step = await runtime.compile({ pulledBack, ...(mixed && { value: h }) });
  return {
    value,
    step,
    block: options.batch,
    async release() {
      for (const program of [value, step]) await program.release();
    },
  };
}

/** What returns are computed from. */
export interface ReturnSources {
  programs: ReturnPrograms;
  parts: Parts;
  conditions: Conditions;
  trajectories: Trajectories;
  trained: Values;
}

/** A state of a trajectory, by its level 0 … T. */
export interface StateIndex {
  trajectory: number;
  level: number;
}

export const emptyReturns = ({ parts, trajectories }: Pick<ReturnSources, "parts" | "trajectories">): Returns => {
  const arrays = () => parts.chain.steps.map(() => new Float32Array(trajectories.count * sizeOf(parts.model.shape)));
  return { next: arrays(), pulledBack: arrays() };
};

/** Runs a program at states of trajectories, one a row of the block. */
export function runAt(
  { parts, conditions, trajectories, trained }: ReturnSources,
  program: Program,
  rows: readonly StateIndex[],
  adjoint?: Float32Array,
): ReturnType<Program["run"]> {
  const { chain, model, reward } = parts;
  const size = sizeOf(model.shape);
  const own = rows.map(({ trajectory }) => trajectories.prompts[trajectory]!);
  const x = new Float32Array(rows.length * size);
  rows.forEach(({ trajectory, level }, b) => {
    x.set(trajectories.states[level]!.subarray(trajectory * size, (trajectory + 1) * size), b * size);
  });
  const levels = rows.map(({ level }) => level);
  const feeds: Values = {
    ...trained,
    ...conditions.feeds(own),
    promptFeatures: promptFeaturesOf(reward, own),
    x,
    "x.columns": rowsOf((i) => levelRow(chain, i), levels),
    ...(adjoint && { adjoint }),
  };
  return program.run(Object.fromEntries(Object.keys(program.inputs).map((name) => [name, feeds[name]!])));
}
