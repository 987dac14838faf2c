import { ConfigError } from "../core/errors.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import { asConstants, type Params } from "../nn/index.ts";
import type { Objective } from "../objectives/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { levelRow, repeatedRow } from "../sample/chain-columns.ts";
import type { Conditions } from "../sample/conditions.ts";
import type { FlowGradient } from "../sample/half-steps.ts";
import { promptFeaturesOf } from "../sample/image-scorer.ts";
import { halfStepsRefusal } from "../train/half-steps-check.ts";
import type { SamplingParts } from "../train/prepare.ts";
import { stateGraph } from "../train/state-graph.ts";

/** What half steps need of a training besides its policy: the objective that knows h, and the flow network's weights. */
export interface HalfSteps {
  readonly objective: Objective;
  readonly flow: NamedArrays;
}

export interface FlowGradientOptions {
  readonly params: { readonly frozen: Params; readonly policy: Params };
  readonly conditions: Conditions;
  readonly block: number;
}

/**
 * Compiles h of an objective at states of a block: a frozen forward pass, its vector-Jacobian product and a reward gradient,
 * beside the flow network. Throws ConfigError for an objective without one, a chain with a step without noise, and a reward
 * that has no gradient.
 */
export async function openFlowGradient(
  runtime: Runtime,
  { model, chain, reward, guidance }: SamplingParts,
  { objective, flow }: HalfSteps,
  { params: { frozen, policy }, conditions, block }: FlowGradientOptions,
): Promise<{ at: FlowGradient; release(): Promise<void> }> {
  const refusal = halfStepsRefusal(objective) ?? partsRefusal(chain.stochastic, reward);
  if (refusal) throw new ConfigError(refusal);
  const bound = { frozen, policy, old: policy, flow: asConstants(flow) };
  const state = stateGraph({ model, chain, reward, guidance, objective, batch: block, ...bound }, "x");
  const program = await runtime.compile({ h: objective.flowGradient!(state) });
  return {
    async at(i, x, prompts) {
      const feeds = {
        ...conditions.feeds(prompts),
        x,
        "x.columns": repeatedRow(levelRow(chain, i), block),
        promptFeatures: promptFeaturesOf(reward, prompts),
      };
      const { h } = await program.run(feeds);
      return h!.slice();
    },
    release: () => program.release(),
  };
}

function partsRefusal(stochastic: boolean, reward: SamplingParts["reward"]): string | undefined {
  if (!stochastic) {
    return "Half steps split the noise of a step, but this sampler has a step without: sample a run whose sampler has noise in every step, or in whole steps.";
  }
  if (reward.differentiable) return undefined;
  return `Half steps follow the gradient of the reward, but "${reward.kind}" runs on the host and has none. Leave out --reward so that the run's own counts, or sample in whole steps.`;
}
