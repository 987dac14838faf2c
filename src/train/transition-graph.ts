import type { Model } from "../models/index.ts";
import type { Params } from "../nn/index.ts";
import type { Losses, Objective, StatePrediction, TransitionBatch, TransitionState } from "../objectives/index.ts";
import type { Reward } from "../rewards/reward.ts";
import { columnsInput, levelColumns, transitionColumns } from "../sample/chain-columns.ts";
import { guidedState } from "../sample/guided-state.ts";
import { promptFeatureInput } from "../sample/image-scorer.ts";
import { fill, gradient, input, type Shape, type Tensor, vjp } from "../tensor/index.ts";

export interface TransitionGraphOptions {
  model: Model;
  frozen: Params;
  /** Policy parameters: frozen ones with the trained inputs in force. */
  policy: Params;
  flow: Params;
  reward: Reward;
  objective: Objective;
  guidance: number;
  batch: number;
}

/** The losses of a minibatch of transitions. Inputs are named after the parts of a transition (`x`, `xNext.columns` …). */
export function transitionLosses(options: TransitionGraphOptions): Losses {
  return options.objective.losses(transitionBatch(options));
}

/** One end of a batch of transitions; its inputs start with `prefix`. */
export function stateGraph(options: TransitionGraphOptions, prefix: "x" | "xNext"): TransitionState {
  const { model, batch, reward, guidance } = options;
  const names = { x: prefix, columns: `${prefix}.columns` };
  const { x, level: c, time, condition, output } = guidedState(model, guidance, batch, names);
  const predict = (params: Params): StatePrediction => {
    const out = output(params);
    return {
      out,
      x0Hat: x.mul(c.c1).add(out.mul(c.c2)),
      mean: x.mul(c.d1).add(out.mul(c.d2)),
      pullBack({ x0Hat: u, mean: v }) {
        // x̂ and μ are linear in (x, out): one product with the network's Jacobian serves both.
        const sum = (a: Tensor | undefined, b: Tensor | undefined) => (a && b ? a.add(b) : (a ?? b)!);
        const throughOut = sum(u?.mul(c.c2), v?.mul(c.d2));
        return sum(u?.mul(c.c1), v?.mul(c.d1)).add(vjp([out], [throughOut], [x])[0]!);
      },
    };
  };
  const elements = x.shape.map((_, i) => i).slice(1);
  const score = (clean: Tensor): Tensor => {
    if (!reward.differentiable)
      throw new Error(`reward "${reward.kind}" is not a graph; the configuration check refuses it`);
    return reward.score({ images: model.decode(clean), prompts: promptFeatureInput(reward, batch) });
  };
  const flow = () => model.flow.predict(options.flow, x, time, condition);
  return lazy<TransitionState>({
    x: () => x,
    signal: () => c.signal,
    inside: () => c.inside,
    reference: () => predict(options.frozen),
    policy: () => predict(options.policy),
    flow,
    flowMean: () => flow().mean(elements),
    rewardGradient: () => (x0Hat) => {
      const at = x0Hat.stopGradient();
      return gradient(score(at).sum(), [at])[0]!.stopGradient();
    },
    predictedReward: () => (x0Hat) => score(x0Hat.stopGradient()).stopGradient(),
  });
}

function transitionBatch(options: TransitionGraphOptions): TransitionBatch {
  const { model, batch } = options;
  const shape: Shape = [batch, ...model.shape];
  const state = stateGraph(options, "x");
  const next = stateGraph(options, "xNext");
  const { sigma, a, s } = columnsInput("transition", transitionColumns, batch, shape.length);
  const { d2 } = columnsInput("x.columns", levelColumns, batch, shape.length);
  return lazy<TransitionBatch>({
    state: () => state,
    next: () => next,
    sigma: () => sigma,
    noising: () => ({ scale: a, std: s }),
    delta: () => state.policy.out.sub(state.reference.out).mul(d2.div(sigma.square())),
    oldOutput: () => input("oldOutput", shape),
    advantage: () => input("advantage", [batch]),
    oldLogProb: () => input("oldLogProb", [batch]),
    logProb: () => elementMeanLogProb(next.x, state.policy.mean, sigma),
    lambdaReturn: () => ({
      next: input("lambdaReturn.next", shape),
      pulledBack: input("lambdaReturn.pulledBack", shape),
    }),
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

/** An object whose properties are computed when first read. */
function lazy<T extends object>(parts: { [K in keyof T]: () => T[K] }): T {
  const object = {} as T;
  for (const key of Object.keys(parts) as (keyof T & string)[]) {
    let value: { is: T[typeof key] } | undefined;
    Object.defineProperty(object, key, {
      enumerable: true,
      get() {
        value ??= { is: parts[key]() };
        return value.is;
      },
    });
  }
  return object;
}
