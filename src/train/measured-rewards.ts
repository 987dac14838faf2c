import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, NonFiniteError } from "../core/errors.ts";
import { moments } from "../core/moments.ts";
import { hubFromEnvironment, type OpenHub } from "../hub/index.ts";
import { partsOf, weightedSum } from "../rewards/compose.ts";
import type { Normalization, Reward, RewardPart } from "../rewards/reward.ts";
import { readRunConfig } from "../run/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { rewardList } from "./config.ts";
import { withCommits } from "./hub-paths.ts";
import { type Parts, prepare } from "./prepare.ts";
import { type PretrainedOptions, scorePretrained } from "./pretrained-scores.ts";
import { type Normalize, numbersOf, splitEntry, type Weighting } from "./reward-entry.ts";
import type { TrainConfig } from "./values.ts";

export interface MeasuringOptions {
  /** Folder of the run: one that has begun keeps the numbers, and the commits of hub models, that it began with. */
  out?: string | undefined;
  /** Where hub ids are loaded from. Default: the hub of the environment. */
  openHub?: OpenHub;
  onProgress?: (fraction: number) => void;
  signal?: AbortSignal | undefined;
}

/**
 * `prepare`, after the commit of each hub id has been found and the mean and std of each reward that asks for it have been
 * measured on samples of the pretrained model; they stand in the configuration that is returned. The samples depend on
 * `evaluate.seed`, so that runs which differ in `train.seed` alone have the same target. Throws ConfigError for a reward that
 * is the same on all samples, NonFiniteError for one that is no number.
 */
export async function prepareMeasured(
  given: TrainConfig,
  runtime: Runtime,
  { out, onProgress, signal, openHub = () => hubFromEnvironment({ signal }) }: MeasuringOptions = {},
): Promise<{ config: TrainConfig; parts: Parts }> {
  const begun = out !== undefined && existsSync(join(out, "config.json")) ? await readRunConfig(out) : undefined;
  const config = withStoredNumbers(await withCommits(given, openHub, begun), begun);
  if (!weightings(config).some(isUnmeasured)) return { config, parts: await prepare(config, openHub) };

  const bare = withNormalize(config, () => undefined);
  const parts = await prepare(bare, openHub); // what does not fit is refused before anything is sampled
  const measured = await measure(config, parts, runtime, { onProgress, signal });
  const sum: RewardPart[] = partsOf(parts.reward).map(({ reward }, k) => {
    const { weight = 1, normalize } = weightings(measured)[k]!;
    const normalization = normalize && numbersOf(normalize);
    return { reward, weight, ...(normalization && { normalization }) };
  });
  return { config: measured, parts: { ...parts, reward: weightedSum(sum) } };
}

const weightings = (config: TrainConfig): Weighting[] =>
  rewardList(config).map((entry) => splitEntry(entry, "reward").weighting);

const isUnmeasured = ({ normalize }: Weighting): boolean => normalize !== undefined && !numbersOf(normalize);

/** The configuration with another `normalize` for reward k of the list; without one where there is none. */
function withNormalize(
  config: TrainConfig,
  of: (normalize: Normalize, k: number, kind: string) => Normalize | undefined,
): TrainConfig {
  const entries = rewardList(config).map((entry, k) => {
    const { weighting, rest } = splitEntry(entry, "reward");
    const normalize = weighting.normalize && of(weighting.normalize, k, entry.kind);
    const { weight } = weighting;
    return { ...rest, ...(weight !== undefined && { weight }), ...(normalize && { normalize }) } as typeof entry;
  });
  return { ...config, reward: Array.isArray(config.reward) ? entries : entries[0] };
}

/** Takes the numbers that a run which has begun has recorded for the same rewards and as many samples. */
function withStoredNumbers(config: TrainConfig, begun: Record<string, unknown> | undefined): TrainConfig {
  if (!weightings(config).some(isUnmeasured) || !begun) return config;
  const stored = [begun.reward].flat() as ({ kind?: unknown; normalize?: Normalize } | null | undefined)[];
  return withNormalize(config, (normalize, k, kind) => {
    const own = stored[k]?.kind === kind ? stored[k].normalize : undefined;
    return own?.samples === normalize.samples && !numbersOf(normalize) ? own : normalize;
  });
}

async function measure(
  config: TrainConfig,
  parts: Parts,
  runtime: Runtime,
  progress: Pick<PretrainedOptions, "onProgress" | "signal">,
): Promise<TrainConfig> {
  // Only what is to be measured is scored: a request to a server may cost something.
  const wanted = weightings(config).flatMap((weighting, k) =>
    isUnmeasured(weighting) ? [{ k, samples: weighting.normalize!.samples! }] : [],
  );
  const loaded = partsOf(parts.reward);
  const reward: Reward = { kind: "measured", differentiable: false, parts: wanted.map(({ k }) => loaded[k]!) };
  const { parts: scored } = await scorePretrained({ ...parts, reward }, runtime, {
    seed: config.evaluate.seed,
    block: config.train.block,
    count: Math.max(...wanted.map(({ samples }) => samples)),
    ...progress,
  });
  return withNormalize(config, (normalize, k, kind) => {
    const j = wanted.findIndex((one) => one.k === k);
    return j < 0
      ? normalize
      : { ...normalize, ...normalizationOf(kind, scored[j]!.scores.subarray(0, wanted[j]!.samples)) };
  });
}

/** Relative to the mean: below it, what varies is the rounding of float32. */
const roundingStd = 1e-6;

function normalizationOf(kind: string, scores: Float32Array): Normalization {
  const bad = scores.find((score) => !Number.isFinite(score));
  if (bad !== undefined) {
    throw new NonFiniteError(
      `reward: "${kind}" is ${bad} on a sample of the pretrained model, so that it has no mean and std. Give normalize: { mean: …, std: … }, or mend the reward.`,
    );
  }
  const { mean, std } = moments(scores);
  if (std <= roundingStd * Math.abs(mean)) {
    throw new ConfigError(
      `reward: "${kind}" is ${mean} on all ${scores.length} samples of the pretrained model: there is no std to divide by, and nothing to learn from yet. Leave normalize out, give { mean: …, std: … }, or take more samples.`,
    );
  }
  return { mean, std };
}
