import { join } from "node:path";
import { moments } from "../core/moments.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import { EventWriter, writeCheckpoint } from "../run/index.ts";
import { accumulate } from "./accumulate.ts";
import type { EvaluationEvent, TrainEvent } from "./events.ts";
import type { FinetuneOptions } from "./finetune-options.ts";
import type { Rollout } from "./minibatch.ts";
import { openPrograms } from "./programs.ts";
import { sampleRollout } from "./rollout.ts";
import { initialState, type Network } from "./train-state.ts";

/** What a run ends with. */
export interface Finetuned {
  /** Trained parameters of the policy: the averaged ones when `train.ema` > 0. */
  policy: NamedArrays;
  finished: boolean;
}

/**
 * Finetunes a model towards a reward. One update: sample trajectories with the policy, score them, choose transitions,
 * accumulate gradients, one AdamW step per network. Goes on from the directory's checkpoint if it has one; aborting the
 * signal saves a checkpoint first.
 */
export async function* finetune(options: FinetuneOptions): AsyncGenerator<TrainEvent, Finetuned> {
  const { config, directory, signal, probe } = options;
  const state = await initialState(options);
  const events = new EventWriter<TrainEvent>(join(directory.path, "events.jsonl"), state.eventsBytes);
  // Only what the seed determines is written down: checkpoints and resumptions differ between a run and its like.
  const tell = (event: TrainEvent): TrainEvent => events.append(event);
  const save = async (): Promise<TrainEvent> => {
    events.sync();
    const { path } = await writeCheckpoint(directory.path, state.checkpoint(events.bytes), { keep: 2 });
    return { type: "checkpoint", update: state.update, path: path.slice(directory.path.length + 1) };
  };
  const programs = await openPrograms(options, state);
  const { updates, updatesPerRollout, checkpointEvery } = config.train;
  let rollout: Rollout | undefined;
  const { update } = state;
  yield update > 0 ? { type: "resume", update } : tell({ type: "start", update });
  try {
    while (state.update < updates) {
      // A rollout is not part of a checkpoint: between two updates on one there is nothing to go on from.
      const whole = state.update % updatesPerRollout === 0;
      if (signal?.aborted && whole) {
        yield await save();
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
      yield tell({
        type: "step",
        update: state.update,
        updates,
        reward: mean,
        rewardStd: std,
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
        yield tell(measured);
      }
      const due = state.update % checkpointEvery === 0 && state.update % updatesPerRollout === 0;
      if (due && state.update < updates) yield await save();
    }
    yield await save();
    return { policy: state.result(), finished: true };
  } finally {
    events.close();
    await programs.release();
  }
}
