import type { Path, PathStep } from "../objectives/index.ts";
import { levelColumns, levelRow, repeatedRow } from "../sample/chain-columns.ts";
import { constant, input, type Tensor } from "../tensor/index.ts";
import { lazy } from "./lazy.ts";
import { stateAt, type TransitionGraphOptions } from "./state-graph.ts";
import { stepDraw } from "./transitions.ts";

/**
 * The chain from the earliest x_i that its objective draws to x_T: x_{k+1} = μ_θ(x_k) + σ_k z_k, one copy of the network
 * per step. Inputs: `path.x` [B, …shape], `path.noise` [K, B, …shape] with σ_k z_k, and `path.start` [B], each row's own i,
 * where its gradient begins. All rows are at one level at a time, so the numbers of a step are constants.
 */
export function pathGraph(options: TransitionGraphOptions): Path {
  const { chain, objective, batch, model } = options;
  const shape = [batch, ...model.shape];
  const { from, below } = stepDraw(objective, chain.T);
  const length = chain.T - from;
  const noise = input("path.noise", [length, ...shape]);
  const steps: PathStep[] = [];
  let x = input("path.x", shape);
  for (let i = from; i < chain.T; i++) {
    // the first state is an input and has no gradient to cut
    if (i > from && i < below) x = cutWhere(input("path.start", [batch], "int32").equal(constantStep(i, batch)), x);
    const columns = constant(repeatedRow(levelRow(chain, i), batch), [batch, levelColumns.length]);
    // on a path of several steps the activations of one step at a time are in memory
    const state = stateAt(options, x, columns, { recompute: length > 1 });
    const { d2, sigma } = chain.steps[i]!;
    steps.push(
      lazy<PathStep>({
        state: () => state,
        sigma: () => sigma,
        delta: () => state.policy.out.sub(state.reference.out).mul(d2 / sigma ** 2),
      }),
    );
    x = state.policy.mean.add(noise.slice(0, i - from, i - from + 1).reshape(shape));
  }
  return { steps, end: x };
}

const constantStep = (i: number, batch: number): Tensor => constant(new Int32Array(batch).fill(i), [batch]);

/** x, without its gradient in the rows where `cut` [B] is 1. */
function cutWhere(cut: Tensor, x: Tensor): Tensor {
  const row = cut.reshape([x.shape[0]!, ...x.shape.slice(1).map(() => 1)]);
  return x.mul(row.neg().add(1)).add(x.stopGradient().mul(row));
}
