import type { Chain } from "../diffusion/index.ts";
import type { Model } from "../models/index.ts";
import type { Params } from "../nn/index.ts";
import type { Objective, StatePrediction, TransitionState } from "../objectives/index.ts";
import type { Reward } from "../rewards/reward.ts";
import { levelColumns } from "../sample/chain-columns.ts";
import { type GuidedState, guidedStateAt } from "../sample/guided-state.ts";
import { promptFeatureInput } from "../sample/image-scorer.ts";
import { gradient, input, type Tensor, vjp } from "../tensor/index.ts";
import { lazy } from "./lazy.ts";

export interface TransitionGraphOptions {
  model: Model;
  chain: Chain;
  frozen: Params;
  /** Policy parameters: frozen ones with the trained inputs in force. */
  policy: Params;
  /** Parameters of the policy that draws rollouts, where the objective keeps one apart. */
  old: Params;
  flow: Params;
  reward: Reward;
  objective: Objective;
  guidance: number;
  batch: number;
}

/** One end of a batch of transitions: the inputs `prefix` and `prefix.columns`. */
export function stateGraph(options: TransitionGraphOptions, prefix: "x" | "xNext"): TransitionState {
  const { model, batch } = options;
  const x = input(prefix, [batch, ...model.shape]);
  return stateAt(options, x, input(`${prefix}.columns`, [batch, levelColumns.length]));
}

/** The networks at states x [B, …shape] whose levels are the rows of `columns`. For `recompute` see `guidedStateAt`. */
export function stateAt(
  options: TransitionGraphOptions,
  x: Tensor,
  columns: Tensor,
  { recompute = false }: { recompute?: boolean } = {},
): TransitionState {
  const { model, guidance, frozen, policy, old } = options;
  const guided = guidedStateAt(model, guidance, x, columns, { recompute });
  const { level, time, condition } = guided;
  const elements = x.shape.map((_, i) => i).slice(1);
  const flow = () => model.flow.predict(options.flow, x, time, condition);
  return lazy<TransitionState>({
    x: () => x,
    signal: () => level.signal,
    share: () => level.share,
    inside: () => level.inside,
    reference: () => predict(guided, frozen),
    policy: () => predict(guided, policy),
    old: () => predict(guided, old),
    at: () => (other) => stateAt(options, other, columns),
    flow,
    flowMean: () => flow().mean(elements),
    rewardGradient: () => (x0Hat) => {
      const at = x0Hat.stopGradient();
      return gradient(scoreOf(options, at).sum(), [at])[0]!.stopGradient();
    },
    predictedReward: () => (x0Hat) => scoreOf(options, x0Hat.stopGradient()).stopGradient(),
  });
}

function predict({ x, level: c, output }: GuidedState, params: Params): StatePrediction {
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
}

/** r of clean samples [B, …shape], each with its own prompt; gradients flow. [B] */
export function scoreOf({ model, reward, batch }: TransitionGraphOptions, clean: Tensor): Tensor {
  if (!reward.differentiable)
    throw new Error(`reward "${reward.kind}" is not a graph; the configuration check refuses it`);
  return reward.score({ images: model.decode(clean), prompts: promptFeatureInput(reward, batch) });
}
