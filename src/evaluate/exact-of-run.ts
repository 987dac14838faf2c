import type { NamedArrays } from "../core/named-arrays.ts";
import { Rng } from "../core/rng.ts";
import type { Runtime } from "../runtime/index.ts";
import { rewardsByPrompt, type SamplingParts } from "../train/prepare.ts";
import { isObjectiveValue, type TrainConfig } from "../train/values.ts";
import { exactSummary } from "./exact.ts";
import { measuringBlock } from "./measure.ts";

export interface ExactRunOptions {
  samples: number;
  /** Seed of the evaluation; the exact comparison has a stream of its own. */
  seed: number;
  signal?: AbortSignal | undefined;
}

/**
 * `exactSummary` for the target that a run's objective aims at. Undefined outside exact worlds, for a reward without a
 * closed form, and for a prior strength other than 1, whose target has none.
 */
export async function exactOfRun(
  runtime: Runtime,
  parts: SamplingParts,
  config: Pick<TrainConfig, "objective" | "reward" | "prompts" | "train">,
  policy: NamedArrays,
  { samples, seed, signal }: ExactRunOptions,
): ReturnType<typeof exactSummary> {
  const { objective } = config;
  const options = (isObjectiveValue(objective) ? objective.options : objective) as Record<string, number | undefined>;
  const { beta = 1, priorStrength = 1 } = options;
  if (parts.model.prior === undefined || priorStrength !== 1) return undefined;
  return exactSummary(runtime, parts, await rewardsByPrompt(config), policy, {
    beta,
    samples,
    seed: new Rng(seed).integers(1, 2 ** 31, { purpose: "evaluation" })[0]!,
    block: measuringBlock(parts, config.train.block),
    signal,
  });
}
