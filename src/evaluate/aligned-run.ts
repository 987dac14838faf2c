import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type RunDirectory, type RunSummary, writeJsonAtomic, writeSummary } from "../run/index.ts";
import type { Runtime } from "../runtime/index.ts";
import type { TrainEvent } from "../train/events.ts";
import { finetune } from "../train/finetune.ts";
import { type Parts, prepare } from "../train/prepare.ts";
import { recordedConfig, type TrainConfig } from "../train/values.ts";
import { writeSafetensorsFile } from "../weights/index.ts";
import type { ExactPoints } from "./exact.ts";
import { exactOfRun } from "./exact-of-run.ts";
import type { HalfSteps } from "./flow-gradient.ts";
import { halfStepsOfRun } from "./half-steps.ts";
import { type Judges, openJudges } from "./judges.ts";
import { type Measured, measureModel, measuringBlock, priorDistances } from "./measure.ts";
import { measuredBeta } from "./path-summary.ts";
import { writePairs } from "./sample-pairs.ts";

export interface AlignedRunOptions {
  config: TrainConfig;
  /** What `prepare` made of the configuration, by a caller that did so before it opened the directory. */
  parts?: Parts;
  runtime: Runtime;
  directory: RunDirectory;
  signal?: AbortSignal | undefined;
  /** Told what is going on besides training steps. */
  onStage?: (stage: string, fraction: number) => void;
  /** Seconds now, from any fixed start. */
  clock: () => number;
}

const pointsShown = 2000;

/**
 * The whole of a finetuning run: measure the pretrained model, finetune, measure again with the same noise, and write
 * final.safetensors, summary.json and samples/. Returns the summary, or undefined when it was interrupted.
 */
export async function* alignedRun(options: AlignedRunOptions): AsyncGenerator<TrainEvent, RunSummary | undefined> {
  const { config, runtime, directory, signal, onStage, clock } = options;
  const started = clock();
  const { parts = await prepare(config) } = options;
  const isWorld = parts.model.prior !== undefined;
  const block = measuringBlock(parts, config.train.block);
  const judges = await openJudges(runtime, parts.model, config.train.block);
  const measuring = measurer(options, parts, judges);
  const before = await measuring("before", undefined, config.evaluate.seed, config.evaluate.imagesPerPrompt);

  const quick = Math.min(config.evaluate.imagesPerPrompt, isWorld ? 1000 : 4);
  const { policy, finished } = yield* finetune({
    config: recordedConfig(config),
    parts,
    runtime,
    directory,
    signal,
    async probe(trained) {
      const { summary } = await measureModel(runtime, parts, trained, {
        imagesPerPrompt: Math.max(2, quick),
        seed: config.evaluate.seed + 2,
        block,
        judges,
        beta: measuredBeta(config),
      });
      const { images: _, seeds: __, rewardParts: ___, ...numbers } = summary;
      return numbers;
    },
  });
  if (!finished) return undefined;

  await writeSafetensorsFile(join(directory.path, "final.safetensors"), policy);
  const halfSteps = config.evaluate.halfSteps ? await halfStepsOfRun(directory.path, config) : undefined;
  const after = await measuring("after", policy, config.evaluate.seed, config.evaluate.imagesPerPrompt, halfSteps);
  const again = await measuring("prior floor", undefined, config.evaluate.seed + 1, config.evaluate.imagesPerPrompt);
  if (isWorld) onStage?.("exact", 0);
  const exact = await exactOfRun(runtime, parts, config, policy, {
    samples: config.evaluate.imagesPerPrompt,
    seed: config.evaluate.seed,
    halfSteps,
    signal,
  });
  const summary: RunSummary = {
    before: before.summary,
    after: { ...after.summary, ...priorDistances(after, before, again, judges.kernel) },
    seconds: clock() - started,
    ...(exact && { exact: exact.summary }),
  };
  if (exact) await writePoints(directory.path, exact.points, parts);
  if (!isWorld) await writePairs(directory.path, before, after, parts.model.imageShape, config.evaluate.seed);
  await writeSummary(directory.path, summary);
  return summary;
}

/** `alignedRun` to its end; `onEvent` is told of every event. */
export async function finishAlignedRun(
  options: AlignedRunOptions,
  onEvent?: (event: TrainEvent) => void,
): Promise<RunSummary | undefined> {
  const run = alignedRun(options);
  for (;;) {
    const { value, done } = await run.next();
    if (done) return value;
    onEvent?.(value);
  }
}

const measurer =
  ({ config, runtime, onStage, signal }: AlignedRunOptions, parts: Parts, judges: Judges) =>
  (
    stage: string,
    policy: Parameters<typeof measureModel>[2],
    seed: number,
    imagesPerPrompt: number,
    halfSteps?: HalfSteps,
  ): Promise<Measured> =>
    measureModel(runtime, parts, policy, {
      imagesPerPrompt,
      seed,
      block: measuringBlock(parts, config.train.block),
      judges,
      beta: measuredBeta(config),
      halfSteps,
      onProgress: (fraction) => onStage?.(stage, fraction),
      signal,
    });

/** The first points of a two-dimensional world, for the report's picture. */
async function writePoints(run: string, { before, after, target }: ExactPoints, parts: Parts): Promise<void> {
  if (parts.model.shape[0] !== 2) return;
  await mkdir(join(run, "samples"), { recursive: true });
  const pairs = (points: ArrayLike<number>) =>
    Array.from({ length: Math.min(pointsShown, points.length / 2) }, (_, k) => [points[2 * k]!, points[2 * k + 1]!]);
  await writeJsonAtomic(join(run, "samples", "points.json"), {
    before: pairs(before),
    after: pairs(after),
    target: pairs(target),
  });
}
