import { cloneArrays, type NamedArrays } from "../../src/core/named-arrays.ts";
import { Rng } from "../../src/core/rng.ts";
import { asConstants } from "../../src/nn/index.ts";
import type { Losses, TransitionBatch } from "../../src/objectives/index.ts";
import { levelRow, transitionRow } from "../../src/sample/chain-columns.ts";
import { promptFeaturesOf } from "../../src/sample/image-scorer.ts";
import { evaluate, gradient, input, type Tensor } from "../../src/tensor/index.ts";
import type { Parts } from "../../src/train/prepare.ts";
import { transitionLosses } from "../../src/train/transition-graph.ts";
import { bindParams, flowPrefix, graphOptions, policyPrefix } from "../../src/train/update-program.ts";

export interface Transition {
  i: number;
  x: readonly number[];
  xNext: readonly number[];
  prompt?: string;
}

/** The losses of given transitions as graphs, with the inputs that evaluate them in float64. */
export interface Traced {
  losses: Losses;
  /** What the objective was given. */
  batch: TransitionBatch;
  /** Trained inputs by network. */
  trained: Record<"policy" | "flow", Tensor[]>;
  /** Values in float64; `more` replaces or adds inputs. */
  values(outputs: readonly Tensor[], more?: Record<string, ArrayLike<number>>): Float64Array[];
  /** The value of a scalar. */
  value(scalar: Tensor): number;
  /** All entries of the gradient of a scalar by one network's parameters. */
  slope(scalar: Tensor, network: "policy" | "flow"): number[];
}

export interface TraceOptions {
  policy?: NamedArrays;
  flow?: NamedArrays;
  /** Values of the inputs that only some objectives have. */
  more?: Record<string, ArrayLike<number>>;
}

export function trace(parts: Parts, transitions: readonly Transition[], options: TraceOptions = {}): Traced {
  const { model, chain, reward } = parts;
  const rng = new Rng(0);
  const { policy = parts.adaptation.init(rng), flow = model.flow.init(rng), more = {} } = options;
  const params = bindParams(parts, policy, flow);
  let batch: TransitionBatch | undefined;
  const watched = {
    ...parts.objective,
    losses(given: TransitionBatch) {
      batch = given;
      return parts.objective.losses(given);
    },
  };
  const losses = transitionLosses({ ...graphOptions(parts, params, transitions.length), objective: watched });

  const prompts = transitions.map(({ prompt = parts.prompts[0]! }) => prompt);
  const tokens = input("tokens", [prompts.length, model.tokenLength], "int32");
  const condition = model.encode(asConstants(model.weights), tokens);
  const encoded = evaluate(Object.values(condition), { tokens: model.tokenize(prompts) });
  const arrays = (prefix: string, named: NamedArrays) =>
    Object.fromEntries(Object.entries(named).map(([name, { data }]) => [prefix + name, data as ArrayLike<number>]));
  const feeds: Record<string, ArrayLike<number>> = {
    x: transitions.flatMap(({ x }) => x),
    xNext: transitions.flatMap(({ xNext }) => xNext),
    "x.columns": transitions.flatMap(({ i }) => levelRow(chain, i)),
    "xNext.columns": transitions.flatMap(({ i }) => levelRow(chain, i + 1)),
    transition: transitions.flatMap(({ i }) => transitionRow(chain, i)),
    promptFeatures: promptFeaturesOf(reward, prompts),
    ...Object.fromEntries(Object.keys(condition).map((name, k) => [`condition.${name}`, encoded[k]!])),
    ...arrays(policyPrefix, policy),
    ...arrays(flowPrefix, flow),
    ...more,
  };
  const trained = { policy: Object.values(params.trained.policy), flow: Object.values(params.trained.flow) };
  const values: Traced["values"] = (outputs, extra = {}) => evaluate(outputs, { ...feeds, ...extra });
  return {
    losses,
    batch: batch!,
    trained,
    values,
    value: (scalar) => values([scalar])[0]![0]!,
    slope: (scalar, network) => values(gradient(scalar, trained[network])).flatMap((g) => [...g]),
  };
}

/** A transition per step of the chain, at points drawn from the seed. */
export function drawnTransitions({ chain, model, prompts }: Parts, seed = 0): Transition[] {
  const size = model.shape[0]!;
  return chain.steps.map(({ i }) => {
    const z = [...new Rng(seed).normal(2 * size, { purpose: "test", step: i })];
    return { i, x: z.slice(0, size), xNext: z.slice(size), prompt: prompts[i % prompts.length]! };
  });
}

/** The same parameters moved by normal noise, so that no layer is zero. */
export function moved(arrays: NamedArrays, seed: number, size = 0.1): NamedArrays {
  const copy = cloneArrays(arrays);
  Object.values(copy).forEach(({ data }, k) => {
    const noise = new Rng(seed).normal(data.length, { purpose: "test", sample: k });
    for (let j = 0; j < data.length; j++) data[j]! += size * noise[j]!;
  });
  return copy;
}

/** Parameters of both networks with nothing at zero. */
export const movedParams = ({ adaptation, model }: Parts, seed = 1): { policy: NamedArrays; flow: NamedArrays } => ({
  policy: moved(adaptation.init(new Rng(seed)), seed),
  flow: moved(model.flow.init(new Rng(seed)), seed + 1),
});

export const total = (parts: Readonly<Record<string, Tensor>>): Tensor =>
  Object.values(parts).reduce((sum, part) => sum.add(part));
