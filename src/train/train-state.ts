import { addPrefix, cloneArrays, type NamedArrays, withPrefix } from "../core/named-arrays.ts";
import { Rng } from "../core/rng.ts";
import { AdamW, clipGradNorm, constantRate, Ema } from "../optim/index.ts";
import { readCheckpoint, type writeCheckpoint } from "../run/index.ts";
import type { Values } from "../runtime/index.ts";
import type { RewardHistory } from "./advantages.ts";
import type { FinetuneOptions } from "./finetune-options.ts";
import { flowPrefix, policyPrefix } from "./update-program.ts";

export type Network = "policy" | "flow";

/** Parameters, optimizers and counters: all that a checkpoint holds. */
export interface TrainState {
  readonly update: number;
  readonly eventsBytes: number;
  readonly params: Readonly<Record<Network, NamedArrays>>;
  readonly rewardHistory: RewardHistory;
  /** Values of the trained inputs of all programs. */
  readonly trained: Values;
  /** Clips and applies a gradient; returns its norm before clipping. */
  step(network: Network, gradient: NamedArrays): number;
  rate(network: Network): number;
  finishUpdate(): void;
  result(): NamedArrays;
  checkpoint(eventsBytes: number): Parameters<typeof writeCheckpoint>[1];
}

/** State of a new run, or of the directory's checkpoint. */
export async function initialState({ config, parts, directory }: FinetuneOptions): Promise<TrainState> {
  const rng = new Rng(config.train.seed);
  const usesFlow = parts.objective.needs.includes("flow");
  const params = {
    policy: cloneArrays(parts.adaptation.init(rng)),
    flow: usesFlow ? cloneArrays(parts.model.flow.init(rng)) : {},
  };
  const settings = { policy: config.train.optimizer, flow: config.train.flowOptimizer };
  const optimizers = { policy: new AdamW(settings.policy), flow: new AdamW(settings.flow) };
  const rates = {
    policy: constantRate(settings.policy.lr, config.train.updates, settings.policy.decayAt),
    flow: constantRate(settings.flow.lr, config.train.updates, settings.flow.decayAt),
  };
  const ema = new Ema(params.policy, config.train.ema);
  let rewardHistory: RewardHistory = {};
  let update = 0;
  let eventsBytes = 0;
  if (directory.checkpoint) {
    const saved = await readCheckpoint(directory.checkpoint.path);
    copyInto(params.policy, saved.sections.policy!);
    if (usesFlow) copyInto(params.flow, saved.sections.flow!);
    copyInto(ema.arrays, saved.sections.ema!);
    const state = saved.state as { optimizerSteps: Record<Network, number>; rewardHistory: RewardHistory };
    for (const network of ["policy", "flow"] as const) {
      const moments = withPrefix(saved.sections.optimizer!, `${network}/`);
      optimizers[network].importState({ moments, steps: state.optimizerSteps[network] });
    }
    ({ rewardHistory } = state);
    ({ step: update, eventsBytes } = saved);
  }
  return {
    get update() {
      return update;
    },
    eventsBytes,
    params,
    rewardHistory,
    trained: Object.fromEntries([
      ...Object.entries(params.policy).map(([name, { data }]) => [policyPrefix + name, data]),
      ...Object.entries(params.flow).map(([name, { data }]) => [flowPrefix + name, data]),
    ]),
    step(network, gradient) {
      const norm = clipGradNorm(gradient, settings[network].clip);
      optimizers[network].step(params[network], gradient, rates[network](update));
      return norm;
    },
    rate: (network) => rates[network](update),
    finishUpdate() {
      ema.update(params.policy);
      update++;
    },
    result: () => (config.train.ema > 0 ? ema.arrays : params.policy),
    checkpoint: (bytes) => ({
      step: update,
      eventsBytes: bytes,
      sections: {
        policy: params.policy,
        ...(usesFlow && { flow: params.flow }),
        ema: ema.arrays,
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

/** Writes saved values into arrays that programs already refer to. */
export function copyInto(to: NamedArrays, from: NamedArrays): void {
  for (const [name, { data }] of Object.entries(to)) data.set(from[name]!.data);
}
