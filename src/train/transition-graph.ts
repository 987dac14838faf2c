import type { Losses, TransitionBatch } from "../objectives/index.ts";
import { columnsInput, levelColumns, transitionColumns } from "../sample/chain-columns.ts";
import { logVarianceAt, varianceTable } from "../sample/learned-variance.ts";
import { fill, input, type Shape, type Tensor } from "../tensor/index.ts";
import { lazy } from "./lazy.ts";
import { pathGraph } from "./path-graph.ts";
import { scoreOf, stateGraph, type TransitionGraphOptions } from "./state-graph.ts";

/** The losses of a minibatch of transitions. Inputs are named after the parts of a transition (`x`, `xNext.columns` …). */
export function transitionLosses(options: TransitionGraphOptions): Losses {
  return options.objective.losses(transitionBatch(options));
}

function transitionBatch(options: TransitionGraphOptions): TransitionBatch {
  const { model, batch } = options;
  const shape: Shape = [batch, ...model.shape];
  const state = stateGraph(options, "x");
  const next = stateGraph(options, "xNext");
  const { sigma, a, s, noise } = columnsInput("transition", transitionColumns, batch, shape.length);
  const { d2 } = columnsInput("x.columns", levelColumns, batch, shape.length);
  return lazy<TransitionBatch>({
    state: () => state,
    next: () => next,
    sigma: () => sigma,
    noising: () => ({ scale: a, std: s }),
    delta: () => state.policy.out.sub(state.reference.out).mul(d2.div(sigma.square())),
    oldOutput: () => input("oldOutput", shape),
    advantage: () => input("advantage", [batch]),
    logVariance: () => logVarianceAt(options.policy[varianceTable]!, input("transition.step", [batch], "int32")),
    oldLogProb: () => input("oldLogProb", [batch]),
    logProb: () => elementMeanLogProb(next.x, state.policy.mean, sigma),
    returns: () => ({
      next: input("returns.next", shape),
      pulledBack: input("returns.pulledBack", shape),
    }),
    noise: () => input("noise", shape),
    end: () => input("xEnd", shape),
    noiseLevel: () => noise,
    path: () => pathGraph(options),
    rewardOf: () => (clean) => scoreOf(options, clean),
    reward: () => input("reward", [batch]),
    trajectorySum: () => (values) => sumAlike(input("trajectory", [batch], "int32"), values),
    promptMean: () => (values) => {
      const ids = input("samePrompt", [batch], "int32");
      return sumAlike(ids, values).div(sumAlike(ids, fill([batch], 1)));
    },
  });
}

/** Sums of `values` over the rows that have the same id. [B] → [B] */
function sumAlike(ids: Tensor, values: Tensor): Tensor {
  const [B] = values.shape as [number];
  const alike = ids.reshape([B, 1]).equal(ids.reshape([1, B])); // [B, B]
  return alike.matmul(values.reshape([B, 1])).reshape([B]);
}

/** log N(x'; μ, σ²) averaged over elements, up to log √2π. [B] */
function elementMeanLogProb(xNext: Tensor, mean: Tensor, sigma: Tensor): Tensor {
  const axes = xNext.shape.map((_, i) => i).slice(1);
  const z = xNext.sub(mean).div(sigma);
  return z
    .square()
    .mean(axes)
    .mul(-0.5)
    .sub(sigma.log().reshape([xNext.shape[0]!]));
}
