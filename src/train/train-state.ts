import { addPrefix, cloneArrays, type NamedArrays, withPrefix } from "../core/named-arrays.ts";
import { Rng } from "../core/rng.ts";
import { AdamW, clipGradNorm, constantRate, Ema } from "../optim/index.ts";
import type { CheckpointContent } from "../run/index.ts";
import type { Values } from "../runtime/index.ts";
import { initialLawPrefix } from "../sample/initial-law.ts";
import { freshVarianceTable } from "../sample/learned-variance.ts";
import type { RewardHistory } from "./advantages.ts";
import type { LoopOptions } from "./finetune-options.ts";
import { flowPrefix, oldPrefix, policyPrefix } from "./update-program.ts";

export type Network = "policy" | "flow";

/** What a checkpoint holds besides the length of events.jsonl. */
export type SavedState = Omit<CheckpointContent, "eventsBytes">;

/** Parameters, optimizers and counters. */
export interface TrainState {
  readonly update: number;
  readonly params: Readonly<Record<Network, NamedArrays>>;
  readonly rewardHistory: RewardHistory;
  /** Values of the trained inputs of all programs. */
  readonly trained: Values;
  /** The same for drawing rollouts: with the old policy in the policy's place where the objective keeps one. */
  readonly sampling: Values;
  /** Clips and applies a gradient; returns its norm before clipping. */
  step(network: Network, gradient: NamedArrays): number;
  rate(network: Network): number;
  finishUpdate(): void;
  result(): NamedArrays;
  /** What a checkpoint is to hold; the arrays are those in use. */
  saved(): SavedState;
}

/** State of a new run, or of one that goes on from what was saved. */
export function initialState({ config, parts, initialLaw }: LoopOptions, saved?: SavedState): TrainState {
  const rng = new Rng(config.train.seed);
  const usesFlow = parts.objective.needs.includes("flow");
  const params = {
    policy: {
      ...cloneArrays(parts.adaptation.init(rng)),
      ...(parts.objective.learnsVariance && freshVarianceTable(parts.chain.T, parts.model.shape)),
    },
    flow: usesFlow ? cloneArrays(parts.model.flow.init(rng)) : {},
  };
  const settings = { policy: config.train.optimizer, flow: config.train.flowOptimizer };
  const optimizers = { policy: new AdamW(settings.policy), flow: new AdamW(settings.flow) };
  const rates = {
    policy: constantRate(settings.policy.lr, config.train.updates, settings.policy.decayAt),
    flow: constantRate(settings.flow.lr, config.train.updates, settings.flow.decayAt),
  };
  const ema = new Ema(params.policy, config.train.ema);
  const { oldPolicy } = parts.objective;
  const old = oldPolicy && cloneArrays(params.policy);
  let rewardHistory: RewardHistory = {};
  let update = 0;
  if (saved) {
    copyInto(params.policy, saved.sections.policy!);
    if (usesFlow) copyInto(params.flow, saved.sections.flow!);
    copyInto(ema.arrays, saved.sections.ema!);
    if (old) copyInto(old, saved.sections.old!);
    const state = saved.state as { optimizerSteps: Record<Network, number>; rewardHistory: RewardHistory };
    for (const network of ["policy", "flow"] as const) {
      const moments = withPrefix(saved.sections.optimizer!, `${network}/`);
      optimizers[network].importState({ moments, steps: state.optimizerSteps[network] });
    }
    ({ rewardHistory } = state);
    update = saved.step;
  }
  const trained = {
    ...valuesOf(params.policy, policyPrefix),
    ...valuesOf(params.flow, flowPrefix),
    ...(old && valuesOf(old, oldPrefix)),
  };
  return {
    get update() {
      return update;
    },
    params,
    rewardHistory,
    trained,
    sampling: old ? { ...trained, ...valuesOf(old, policyPrefix) } : trained,
    step(network, gradient) {
      const norm = clipGradNorm(gradient, settings[network].clip);
      optimizers[network].step(params[network], gradient, rates[network](update));
      return norm;
    },
    rate: (network) => rates[network](update),
    finishUpdate() {
      ema.update(params.policy);
      update++;
      if (old && update % config.train.updatesPerRollout === 0) blend(old, params.policy, oldPolicy.decay(update));
    },
    result: () => ({
      ...(config.train.ema > 0 ? ema.arrays : params.policy),
      ...(initialLaw && addPrefix(initialLaw, initialLawPrefix)),
    }),
    saved: () => ({
      step: update,
      sections: {
        policy: params.policy,
        ...(usesFlow && { flow: params.flow }),
        ema: ema.arrays,
        ...(old && { old }),
        ...(initialLaw && { initial: initialLaw }),
        optimizer: {
          ...addPrefix(optimizers.policy.exportState().moments, "policy/"),
          ...addPrefix(optimizers.flow.exportState().moments, "flow/"),
        },
      },
      state: {
        optimizerSteps: { policy: optimizers.policy.steps, flow: optimizers.flow.steps },
        rewardHistory,
      },
    }),
  };
}

/** Values of the inputs that are named after the arrays. */
const valuesOf = (arrays: NamedArrays, prefix: string): Values =>
  Object.fromEntries(Object.entries(arrays).map(([name, { data }]) => [prefix + name, data]));

/** old ← d·old + (1 − d)·θ */
function blend(old: NamedArrays, policy: NamedArrays, decay: number): void {
  for (const [name, { data }] of Object.entries(old)) {
    const towards = policy[name]!.data;
    for (let k = 0; k < data.length; k++) data[k] = decay * data[k]! + (1 - decay) * towards[k]!;
  }
}

/** Writes saved values into arrays that programs already refer to. */
export function copyInto(to: NamedArrays, from: NamedArrays): void {
  for (const [name, { data }] of Object.entries(to)) data.set(from[name]!.data);
}
