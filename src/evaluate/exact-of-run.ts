import type { NamedArrays } from "../core/named-arrays.ts";
import { Rng } from "../core/rng.ts";
import type { Runtime } from "../runtime/index.ts";
import { objectiveOf, rewardsByPrompt, type SamplingParts } from "../train/prepare.ts";
import type { TrainConfig } from "../train/values.ts";
import { exactSummary } from "./exact.ts";
import type { HalfSteps } from "./flow-gradient.ts";
import { measuringBlock } from "./measure.ts";
import { targetLaw } from "./path-summary.ts";

export interface ExactRunOptions {
  samples: number;
  /** Seed of the evaluation; the exact comparison has a stream of its own. */
  seed: number;
  halfSteps?: HalfSteps | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * `exactSummary` for the target that a run's objective aims at. Undefined outside exact worlds and for a reward without a
 * closed form.
 */
export async function exactOfRun(
  runtime: Runtime,
  parts: SamplingParts,
  config: Pick<TrainConfig, "objective" | "reward" | "prompts" | "train" | "evaluate">,
  policy: NamedArrays,
  { samples, seed, halfSteps, signal }: ExactRunOptions,
): ReturnType<typeof exactSummary> {
  if (parts.model.prior === undefined) return undefined;
  const { aim, options } = objectiveOf(config);
  return exactSummary(runtime, parts, await rewardsByPrompt(config), policy, {
    ...targetLaw(config),
    aloneBeta: aim === "reward-alone" ? (options as { beta: number }).beta : undefined,
    samples,
    seed: new Rng(seed).integers(1, 2 ** 31, { purpose: "evaluation" })[0]!,
    block: measuringBlock(parts, config.train.block),
    halfSteps,
    signal,
  });
}
