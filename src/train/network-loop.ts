import { join } from "node:path";
import { NonFiniteError } from "../core/errors.ts";
import type { NamedArray, NamedArrays } from "../core/named-arrays.ts";
import { asInputs, type Params } from "../nn/index.ts";
import { AdamW, clipGradNorm, Ema, warmupCosineRate } from "../optim/index.ts";
import { EventWriter, type RunDirectory, readCheckpoint, writeCheckpoint } from "../run/index.ts";
import type { Runtime, Values } from "../runtime/index.ts";
import { gradient, type Tensor } from "../tensor/index.ts";
import type { TrainEvent } from "./events.ts";
import { copyInto } from "./train-state.ts";

/** A network trained on examples: how its loss is built, and what an update sees. */
export interface NetworkTask {
  /** Trained in place. */
  readonly params: NamedArrays;
  /** The loss [] and other scalars to log. */
  losses(params: Params): { loss: Tensor } & Record<string, Tensor>;
  /** Inputs of update k; they depend on the seed and k alone. */
  feeds(update: number): Values;
}

export interface NetworkLoopOptions {
  updates: number;
  lr: number;
  warmup: number;
  betas: readonly [number, number];
  weightDecay: number;
  clip: number;
  ema: number;
  seed: number;
  checkpointEvery: number;
}

const prefix = "params.";

/**
 * Trains a network by AdamW with warm-up, cosine decay and an averaged copy, which is returned. Goes on from the
 * directory's checkpoint if it has one. Aborting the signal saves a checkpoint first.
 */
export async function* trainNetwork(
  runtime: Runtime,
  task: NetworkTask,
  options: NetworkLoopOptions,
  directory: RunDirectory,
  signal?: AbortSignal,
): AsyncGenerator<TrainEvent, NamedArrays> {
  const optimizer = new AdamW(options);
  const average = new Ema(task.params, options.ema);
  const rate = warmupCosineRate(options.lr, options.updates, options.warmup);
  let update = 0;
  let eventsBytes = 0;
  if (directory.checkpoint) {
    const saved = await readCheckpoint(directory.checkpoint.path);
    copyInto(task.params, saved.sections.policy!);
    copyInto(average.arrays, saved.sections.ema!);
    optimizer.importState({ moments: saved.sections.optimizer!, steps: saved.step });
    ({ step: update, eventsBytes } = saved);
  }
  const events = new EventWriter<TrainEvent>(join(directory.path, "events.jsonl"), eventsBytes);
  // Only what the seed determines is written down: checkpoints and resumptions differ between a run and its like.
  const tell = (event: TrainEvent): TrainEvent => events.append(event);
  const save = async () => {
    events.sync();
    const sections = { policy: task.params, ema: average.arrays, optimizer: optimizer.exportState().moments };
    const content = { step: update, eventsBytes: events.bytes, sections, state: {} };
    const { path } = await writeCheckpoint(directory.path, content, { keep: 2 });
    return { type: "checkpoint", update, path } as const;
  };

  const program = await runtime.compile(lossesAndGradients(task));
  const weights = Object.fromEntries(Object.entries(task.params).map(([name, { data }]) => [prefix + name, data]));
  yield update > 0 ? { type: "resume", update } : tell({ type: "start", update });
  try {
    while (update < options.updates) {
      if (signal?.aborted) {
        yield await save();
        yield { type: "interrupted", update };
        return average.arrays;
      }
      const started = performance.now();
      const result = await program.run({ ...weights, ...task.feeds(update) });
      const losses: Record<string, number> = {};
      const gradients: Record<string, NamedArray> = {};
      for (const [name, data] of Object.entries(result)) {
        if (name.startsWith("gradient.")) gradients[name.slice("gradient.".length)] = { shape: [data.length], data };
        else losses[name] = data[0]!;
      }
      if (!Number.isFinite(losses.loss)) {
        throw new NonFiniteError(
          `Update ${update + 1}: the loss is ${losses.loss} (seed ${options.seed}). The last good checkpoint is kept; a smaller train.lr usually helps.`,
        );
      }
      const norm = clipGradNorm(gradients, options.clip);
      const lr = rate(update);
      optimizer.step(task.params, gradients, lr);
      average.update(task.params);
      update++;
      const seconds = (performance.now() - started) / 1000;
      const { updates } = options;
      yield tell({ type: "step", update, updates, losses, gradientNorm: { network: norm }, lr, seconds });
      if (update % options.checkpointEvery === 0 && update < options.updates) yield await save();
    }
    yield await save();
    yield tell({ type: "end", update });
    return average.arrays;
  } finally {
    events.close();
    await program.release();
  }
}

function lossesAndGradients(task: NetworkTask): Record<string, Tensor> {
  const params = asInputs(task.params, prefix);
  const losses = task.losses(params);
  const names = Object.keys(params);
  const gradients = gradient(losses.loss, Object.values(params));
  return { ...losses, ...Object.fromEntries(gradients.map((g, k) => [`gradient.${names[k]!}`, g])) };
}
