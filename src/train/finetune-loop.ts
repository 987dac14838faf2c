import { moments } from "../core/moments.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import { accumulate } from "./accumulate.ts";
import type { EvaluationEvent, TrainEvent } from "./events.ts";
import type { LoopOptions } from "./finetune-options.ts";
import type { Rollout } from "./minibatch.ts";
import { openPrograms, type Programs } from "./programs.ts";
import { sampleRollout } from "./rollout.ts";
import { initialState, type Network, type SavedState, type TrainState } from "./train-state.ts";

/** What a run ends with. */
export interface Finetuned {
  /** Trained parameters of the policy: the averaged ones when `train.ema` > 0. */
  policy: NamedArrays;
  finished: boolean;
}

/** Where a run is written down while it goes on. */
export interface RunRecord {
  /** What the run goes on from; undefined: the beginning. */
  readonly saved: SavedState | undefined;
  /**
   * Notes an event, and returns it as it was noted. Only what the seed determines is noted: checkpoints and resumptions
   * differ between a run and its like.
   */
  tell(event: TrainEvent): TrainEvent;
  /** Saves a checkpoint, and returns what there is to tell of it. */
  save(state: TrainState): Promise<TrainEvent[]>;
  close(): void;
}

/** A run of which nothing is kept. */
export const unrecorded: RunRecord = {
  saved: undefined,
  tell: (event) => event,
  save: async () => [],
  close: () => {},
};

/**
 * One update: sample trajectories with the policy, score them, choose transitions, accumulate gradients, one AdamW step per
 * network. Needs no Node. Aborting the signal saves first.
 */
export async function* finetuneLoop(options: LoopOptions, record: RunRecord): AsyncGenerator<TrainEvent, Finetuned> {
  const { config, signal, probe } = options;
  const { updates, updatesPerRollout, checkpointEvery } = config.train;
  let programs: Programs | undefined;
  let rollout: Rollout | undefined;
  try {
    const state = initialState(options, record.saved);
    programs = await openPrograms(options, state);
    const { update } = state;
    yield update > 0 ? { type: "resume", update } : record.tell({ type: "start", update });
    while (state.update < updates) {
      // A rollout is not part of a checkpoint: between two updates on one there is nothing to go on from.
      const whole = state.update % updatesPerRollout === 0;
      if (signal?.aborted && whole) {
        yield* await record.save(state);
        return { policy: state.result(), finished: false };
      }
      const started = performance.now();
      if (!rollout || whole) rollout = await sampleRollout(options, state, programs);
      const { losses, gradients } = await accumulate(options, state, programs, rollout);
      const gradientNorm: Record<string, number> = {};
      const lr = state.rate("policy");
      for (const network of Object.keys(gradients) as Network[]) {
        gradientNorm[network] = state.step(network, gradients[network]!);
      }
      state.finishUpdate();
      const { mean, std } = moments(rollout.rewards);
      yield record.tell({
        type: "step",
        update: state.update,
        updates,
        reward: mean,
        rewardStd: std,
        ...(rollout.rewardParts && { rewardParts: rollout.rewardParts }),
        losses,
        gradientNorm,
        lr,
        seconds: (performance.now() - started) / 1000,
      });
      if (probe && config.evaluate.every > 0 && state.update % config.evaluate.every === 0 && state.update < updates) {
        const measured: EvaluationEvent = {
          type: "evaluation",
          update: state.update,
          ...(await probe(state.result())),
        };
        yield record.tell(measured);
      }
      const due = state.update % checkpointEvery === 0 && state.update % updatesPerRollout === 0;
      if (due && state.update < updates) yield* await record.save(state);
    }
    yield* await record.save(state);
    return { policy: state.result(), finished: true };
  } finally {
    record.close();
    await programs?.release();
  }
}
