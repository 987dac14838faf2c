import type { Program, Runtime, Values } from "../runtime/index.ts";
import { levelRow, repeatedRow } from "../sample/chain-columns.ts";
import type { Trajectories } from "../sample/chain-sampler.ts";
import type { Conditions } from "../sample/conditions.ts";
import { promptFeaturesOf } from "../sample/image-scorer.ts";
import { input, sizeOf } from "../tensor/index.ts";
import type { Parts } from "./prepare.ts";
import { stateGraph, type TransitionGraphOptions } from "./state-graph.ts";

/** For every step i of every trajectory: next[i] = A_{i+1} and pulledBack[i] = R_i, [N, …shape]. */
export interface LambdaReturns {
  next: readonly Float32Array[];
  pulledBack: readonly Float32Array[];
}

/** `terminal` gives h_T; `step` gives R, and h where λ < 1 asks for it. */
export interface ReturnPrograms {
  terminal: Program;
  step: Program;
  release(): Promise<void>;
}

/**
 * TD(λ) targets along sampled trajectories (docs/methods.md E.8):
 *   A_T = h_T,   R_j = J_#(x_j)ᵀ A_{j+1},   A_j = (1 − λ) h_j(x_j) + λ R_j.
 * λ = 1 is the lean adjoint of adjoint matching, which looks at the reward at x_T alone.
 */
export async function compileReturns(runtime: Runtime, options: TransitionGraphOptions): Promise<ReturnPrograms> {
  const state = stateGraph(options, "x");
  const returns = options.objective.returns!;
  const value = returns.value(state);
  const pulledBack = state.reference.pullBack({ mean: input("adjoint", state.x.shape) });
  const terminal = await runtime.compile({ value });
  const step = await runtime.compile({ pulledBack, ...(returns.lambda < 1 && { value }) });
  return {
    terminal,
    step,
    async release() {
      for (const program of [terminal, step]) await program.release();
    },
  };
}

export async function lambdaReturns(
  { terminal, step }: ReturnPrograms,
  parts: Parts,
  conditions: Conditions,
  trajectories: Trajectories,
  trained: Values,
  block: number,
): Promise<LambdaReturns> {
  const { chain, model, reward, objective } = parts;
  const lambda = objective.returns!.lambda;
  const size = sizeOf(model.shape);
  const { count, prompts, states } = trajectories;
  const next = chain.steps.map(() => new Float32Array(count * size));
  const pulledBack = chain.steps.map(() => new Float32Array(count * size));
  for (let start = 0; start < count; start += block) {
    const used = Math.min(block, count - start);
    const rows = Array.from({ length: block }, (_, b) => start + Math.min(b, used - 1));
    const own = rows.map((k) => prompts[k]!);
    const fixed: Values = {
      ...trained,
      ...conditions.feeds(own),
      promptFeatures: promptFeaturesOf(reward, own),
    };
    const at = async (program: Program, level: number, adjoint?: Float32Array) => {
      const x = new Float32Array(block * size);
      rows.forEach((k, b) => {
        x.set(states[level]!.subarray(k * size, (k + 1) * size), b * size);
      });
      const columns = repeatedRow(levelRow(chain, level), block);
      const feeds: Values = { ...fixed, x, "x.columns": columns, ...(adjoint && { adjoint }) };
      return program.run(Object.fromEntries(Object.keys(program.inputs).map((name) => [name, feeds[name]!])));
    };
    const put = (to: Float32Array, from: Float32Array) => to.set(from.subarray(0, used * size), start * size);
    let adjoint: Float32Array = (await at(terminal, chain.T)).value!.slice();
    for (let j = chain.T - 1; j >= 0; j--) {
      put(next[j]!, adjoint);
      const { value, pulledBack: pulled } = await at(step, j, adjoint);
      put(pulledBack[j]!, pulled!);
      adjoint = value ? value.map((h, k) => (1 - lambda) * h + lambda * pulled![k]!) : pulled!.slice();
    }
  }
  return { next, pulledBack };
}
