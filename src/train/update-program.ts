import type { NamedArrays } from "../core/named-arrays.ts";
import { asConstants, asInputs, type Params } from "../nn/index.ts";
import type { Program, Runtime } from "../runtime/index.ts";
import { fill, gradient, type Tensor } from "../tensor/index.ts";
import type { Parts } from "./prepare.ts";
import type { TransitionGraphOptions } from "./state-graph.ts";
import { transitionLosses } from "./transition-graph.ts";

/** Prefixes of inputs: `policy.NAME`, `flow.NAME` are trained, `old.NAME` follow the policy. */
export const policyPrefix = "policy.";
export const oldPrefix = "old.";
export const flowPrefix = "flow.";

/** Parameters as the graphs see them: frozen constants, and trained inputs. */
export interface BoundParams {
  frozen: Params;
  policy: Params;
  old: Params;
  flow: Params;
  trained: { policy: Params; flow: Params };
}

export function bindParams({ model, adaptation }: Parts, policy: NamedArrays, flow: NamedArrays): BoundParams {
  const frozen = asConstants(model.weights);
  const trained = { policy: asInputs(policy, policyPrefix), flow: asInputs(flow, flowPrefix) };
  const old = adaptation.bind(frozen, asInputs(policy, oldPrefix));
  return { frozen, policy: adaptation.bind(frozen, trained.policy), old, flow: trained.flow, trained };
}

export const graphOptions = (parts: Parts, params: BoundParams, batch: number): TransitionGraphOptions => ({
  model: parts.model,
  chain: parts.chain,
  reward: parts.reward,
  objective: parts.objective,
  guidance: parts.guidance,
  frozen: params.frozen,
  policy: params.policy,
  old: params.old,
  flow: params.flow,
  batch,
});

/**
 * One program for losses and gradients of a minibatch of transitions. A part trains only its own network: policy losses
 * are differentiated by the policy's parameters, flow losses by the flow network's. Outputs: `loss.NETWORK.NAME`,
 * `gradient.NETWORK.PARAMETER`.
 */
export async function compileUpdate(
  runtime: Runtime,
  parts: Parts,
  params: BoundParams,
  batch: number,
): Promise<Program> {
  const losses = transitionLosses(graphOptions(parts, params, batch));
  const outputs: Record<string, Tensor> = {};
  for (const network of ["policy", "flow"] as const) {
    const named = losses[network];
    if (!named) continue;
    for (const [name, value] of Object.entries(named)) outputs[`loss.${network}.${name}`] = value;
    const total = Object.values(named).reduce((a, b) => a.add(b), fill([], 0));
    const names = Object.keys(params.trained[network]);
    gradient(total, Object.values(params.trained[network])).forEach((g, k) => {
      outputs[`gradient.${network}.${names[k]!}`] = g;
    });
  }
  return runtime.compile(outputs);
}
