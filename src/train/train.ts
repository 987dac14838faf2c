import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRunDirectory } from "../run/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { writeSafetensorsFile } from "../weights/index.ts";
import type { TrainEvent } from "./events.ts";
import { type Finetuned, finetune } from "./finetune.ts";
import { prepareMeasured } from "./measured-rewards.ts";
import { recordedConfig, type TrainConfig } from "./values.ts";

export interface TrainOptions {
  runtime: Runtime;
  /** Run directory to leave behind: config.json, events.jsonl, checkpoints, final.safetensors. Without it nothing is kept. */
  out?: string;
  /** Go on from the last checkpoint in `out`. */
  resume?: boolean;
  /** Aborting it saves a checkpoint after the update in hand and ends the run. */
  signal?: AbortSignal;
}

/**
 * Finetunes the model of a configuration towards its reward: a stream of events, and the trained weights as the generator's
 * return value. It measures nothing: `alignedRun` of nablaflow/evaluate is the whole run that `nabla train` makes. Throws
 * ConfigError before any file is written when the parts do not fit.
 */
export async function* train(
  given: TrainConfig,
  { runtime, out, resume = false, signal }: TrainOptions,
): AsyncGenerator<TrainEvent, Finetuned> {
  const { config, parts } = await prepareMeasured(given, runtime, { out, signal });
  const recorded = recordedConfig(config);
  const path = out ?? (await mkdtemp(join(tmpdir(), "nablaflow-")));
  try {
    const directory = await openRunDirectory(path, recorded, { resume });
    try {
      const trained = yield* finetune({ config: recorded, parts, runtime, directory, signal });
      if (trained.finished) await writeSafetensorsFile(join(path, "final.safetensors"), trained.policy);
      return trained;
    } finally {
      directory.release();
    }
  } finally {
    if (out === undefined) await rm(path, { recursive: true, force: true });
  }
}
