import { directoryRecord } from "./directory-record.ts";
import type { TrainEvent } from "./events.ts";
import type { Finetuned } from "./finetune-loop.ts";
import type { FinetuneOptions } from "./finetune-options.ts";
import { finetuneFromInitialLaw } from "./initial-law.ts";

export type { Finetuned };

/**
 * Finetunes a model towards a reward and keeps the run in a directory. Goes on from the directory's checkpoint if it has
 * one; aborting the signal saves a checkpoint first.
 */
export async function* finetune(options: FinetuneOptions): AsyncGenerator<TrainEvent, Finetuned> {
  return yield* finetuneFromInitialLaw(options, await directoryRecord(options.directory));
}
