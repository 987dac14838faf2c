import type { z } from "zod";
import { ConfigError } from "../core/errors.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import { parseConfig } from "../core/parse-config.ts";
import type { Sampler } from "../diffusion/index.ts";
import type { Model } from "../models/model.ts";
import type { Objective } from "../objectives/index.ts";
import type { RewardValue } from "../rewards/reward.ts";
import type { Runtime } from "../runtime/index.ts";
import { adaptationFor } from "./adaptation-for.ts";
import { checkParts } from "./chain-check.ts";
import type { TrainEvent } from "./events.ts";
import { type Finetuned, unrecorded } from "./finetune-loop.ts";
import { finetuneFromInitialLaw } from "./initial-law.ts";
import type { Parts } from "./prepare.ts";
import { evaluateSettings, finetuneSettings, trainSettings } from "./settings.ts";
import { trainRefusal } from "./train-check.ts";

/** A run whose parts are all given as values. */
export interface MemoryRun {
  model: Model;
  reward: RewardValue;
  sampler: Sampler;
  objective: Objective;
  /** Default: the empty prompt. */
  prompts?: readonly string[];
  finetune?: z.input<typeof finetuneSettings>;
  train: z.input<typeof trainSettings>;
}

export interface MemoryRunOptions {
  runtime: Runtime;
  /** Aborting it ends the run after the update in hand. */
  signal?: AbortSignal;
  /** Called with the trained parameters, which go on changing, after every `probeEvery` updates but the last. */
  probe?: (policy: NamedArrays) => Promise<Record<string, number>>;
  probeEvery?: number;
}

/** The loaded parts of a run. Throws ConfigError for parts that do not fit each other. */
export async function memoryParts(run: MemoryRun): Promise<Parts> {
  const { model, sampler, objective, prompts = [""] } = run;
  const chain = sampler.chain(model);
  checkParts(objective, sampler, { model, chain });
  model.tokenize(prompts); // an unknown prompt is an error now, not at its first update
  const reward = await run.reward.load();
  if (objective.needs.includes("reward-gradient") && !reward.differentiable) {
    throw new ConfigError(
      `${objective.kind} needs a differentiable reward, but "${reward.kind}" runs on the host. Take an objective that needs no gradient, such as "ddpo", or a reward whose score is a graph.`,
    );
  }
  const plain = model.adaptation(parseConfig(finetuneSettings, run.finetune ?? {}, "finetune"));
  const adaptation = adaptationFor(objective, { model, adaptation: plain });
  return { model, reward, chain, guidance: sampler.guidance, prompts, adaptation, objective };
}

/**
 * Finetunes as `train` does, and to the same numbers, but writes nothing and needs no Node: for a browser, and for code that
 * wants no folder. Throws ConfigError before anything is compiled when the parts or the settings do not fit.
 */
export async function* trainInMemory(
  run: MemoryRun,
  { runtime, signal, probe, probeEvery = 0 }: MemoryRunOptions,
): AsyncGenerator<TrainEvent, Finetuned> {
  const train = parseConfig(trainSettings, run.train, "train");
  const parts = await memoryParts(run);
  const refusal = trainRefusal(parts.objective, parts.chain.T, train);
  if (refusal) throw new ConfigError(refusal);
  const config = { train, evaluate: parseConfig(evaluateSettings, { every: probeEvery }, "probeEvery") };
  return yield* finetuneFromInitialLaw({ config, parts, runtime, signal, ...(probe && { probe }) }, unrecorded);
}
