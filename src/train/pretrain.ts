import { join } from "node:path";
import { withPrefix } from "../core/named-arrays.ts";
import { shippedPath } from "../core/package-root.ts";
import { loadPictures, loadTokenizer, splitOf } from "../data/index.ts";
import { writeConvnet } from "../models/convnet-folder.ts";
import type { RunDirectory } from "../run/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { writeDiffusersFolder } from "../weights/index.ts";
import type { TrainEvent } from "./events.ts";
import { trainNetwork } from "./network-loop.ts";
import { classifierNetwork, classifierTask } from "./pretrain-classifier.ts";
import type { DenoiserConfig, PretrainConfig } from "./pretrain-config.ts";
import { denoiserTask } from "./pretrain-denoiser.ts";

/**
 * Trains a network from scratch on the training pictures and writes its averaged weights to `model/` in the run
 * directory: a text-to-image model as a diffusers folder, a classifier as config.json and model.safetensors.
 */
export async function* pretrain(
  config: PretrainConfig,
  runtime: Runtime,
  directory: RunDirectory,
  signal?: AbortSignal,
): AsyncGenerator<TrainEvent> {
  const pictures = splitOf(await loadPictures(shippedPath(config.pictures)), "train");
  const model = join(directory.path, "model");
  if (config.task === "classifier") {
    const task = classifierTask(config, pictures);
    const weights = yield* trainNetwork(runtime, task, config.train, directory, signal);
    await writeConvnet(model, { config: classifierNetwork(config, pictures), weights });
    return;
  }
  const tokenizer = shippedPath(config.tokenizer);
  const task = denoiserTask(config, pictures, await loadTokenizer(tokenizer));
  const average = yield* trainNetwork(runtime, task, config.train, directory, signal);
  await writeDiffusersFolder(
    model,
    {
      unet: { config: config.unet, weights: withPrefix(average, "unet.") },
      textEncoder: { config: config.textEncoder, weights: withPrefix(average, "text_encoder.") },
      scheduler: schedulerConfig(config),
      codec: { _class_name: "PixelUnshuffle", factor: 2 },
      tokenizer,
    },
    "F16",
  );
}

/** The noise schedule in the words of diffusers. */
const schedulerConfig = ({ scheduler, prediction }: DenoiserConfig) => ({
  _class_name: "DDPMScheduler",
  num_train_timesteps: scheduler.trainSteps,
  beta_schedule: scheduler.betaSchedule,
  beta_start: scheduler.betaStart,
  beta_end: scheduler.betaEnd,
  prediction_type: prediction,
  clip_sample: false,
  timestep_spacing: "leading",
  steps_offset: 1,
});
