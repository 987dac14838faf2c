import { ConfigError } from "../core/errors.ts";
import { enoughEss } from "../core/importance.ts";
import type { Features } from "../metrics/features.ts";
import {
  coverage,
  diversity,
  frechetDistance,
  kernelDistance,
  meanReward,
  precision,
  recall,
  vendiScore,
} from "../metrics/index.ts";
import type { Measurement } from "../metrics/metric.ts";
import { neighbours } from "../metrics/neighbours.ts";
import { noReward } from "../rewards/no-reward.ts";
import { type ExactSummary, type PathMeasures, tiltedEss } from "../run/index.ts";
import type { Runtime } from "../runtime/index.ts";
import { exactOfRun } from "./exact-of-run.ts";
import type { HalfSteps } from "./flow-gradient.ts";
import { openJudges } from "./judges.ts";
import { type Measured, measureModel, measuringBlock } from "./measure.ts";
import type { OpenedModel } from "./open-model.ts";
import { measuredBeta } from "./path-summary.ts";
import { type TiltedReference, tiltedReference } from "./tilted.ts";
import type { ExactMeasure } from "./validation-result.ts";

export interface EvaluateOptions {
  imagesPerPrompt: number;
  seed: number;
  /** Also measure the pretrained model's samples weighted by exp(βr), for each of these β. */
  tilt?: readonly number[];
  /** Draws the run's samples in half steps. */
  halfSteps?: HalfSteps | undefined;
  /** Told what is going on. */
  onStage?: (stage: string, fraction: number) => void;
  signal?: AbortSignal | undefined;
}

/** A measured number and, in exact worlds, the same of exact samples of the target and of the pretrained model. */
export type EvaluatedMetric = Measurement & { readonly target?: number; readonly pretrained?: number };

export interface Evaluation {
  metrics: Record<string, EvaluatedMetric>;
  tilted?: TiltedReference[];
}

/**
 * Measures a model: reward (where it has one), diversity and prompt agreement; for a run also how far and which way it
 * is from its pretrained model; in exact worlds also the distances to the exact target, whose `floor` is the exactly
 * tilted pretrained sampler. Same numbers as the `after` of a run's summary when prompts, images and seed are the same.
 */
export async function evaluateModel(
  runtime: Runtime,
  { config, parts, policy }: OpenedModel,
  { imagesPerPrompt, seed, tilt, halfSteps, onStage, signal }: EvaluateOptions,
): Promise<Evaluation> {
  if (tilt && parts.reward === noReward) {
    throw new ConfigError("Tilting weighs samples by exp(βr): name the reward r with --reward KIND.");
  }
  const judges = await openJudges(runtime, parts.model, config.train.block);
  const measure = (stage: string, weights: typeof policy, atSeed: number) =>
    measureModel(runtime, parts, weights, {
      imagesPerPrompt,
      seed: atSeed,
      block: measuringBlock(parts, config.train.block),
      judges,
      beta: weights && measuredBeta(config),
      halfSteps: weights && halfSteps,
      onProgress: (fraction) => onStage?.(stage, fraction),
      signal,
    });
  const measured = await measure("model", policy, seed);
  const { promptAgreement: agreement, images: n } = measured.summary;
  const metrics: Record<string, EvaluatedMetric> = {
    ...(parts.reward !== noReward && { reward: meanReward(measured.rewards) }),
    diversity: diversity(measured.features),
    vendi: vendiScore(measured.features),
    ...(measured.thirdPartyFeatures && { diversityThirdParty: diversity(measured.thirdPartyFeatures) }),
    ...pathMetrics(measured.summary, n),
    ...(agreement !== undefined && {
      promptAgreement: { value: agreement, std: Math.sqrt(agreement * (1 - agreement)), n },
    }),
  };
  const tiltedBy = (samples: Measured) => tilt && { tilted: tilt.map((beta) => tiltedReference(samples, beta)) };
  if (!policy) return { metrics, ...tiltedBy(measured) };
  const pretrained = await measure("pretrained", undefined, seed);
  const again = await measure("prior floor", undefined, seed + 1);
  const priorDistance = kernelDistance(measured.features, again.features, judges.kernel, pretrained.features);
  const prior = priorMetrics(measured.features, again.features, pretrained.features, imagesPerPrompt);
  if (parts.model.prior) onStage?.("exact", 0);
  const exact = await exactOfRun(runtime, parts, config, policy, { samples: imagesPerPrompt, seed, halfSteps, signal });
  return {
    metrics: { ...metrics, priorDistance, ...prior, ...(exact && exactMetrics(exact.summary, exact.samples)) },
    ...tiltedBy(pretrained),
  };
}

/** None on a chain with a step without noise. */
function pathMetrics(
  { elbo, importanceEss, pathKl }: Partial<PathMeasures>,
  n: number,
): Record<string, EvaluatedMetric> {
  if (elbo === undefined) return {};
  return { elbo: { value: elbo, n }, importanceEss: { value: importanceEss!, n }, pathKl: { value: pathKl!, n } };
}

/**
 * A policy against samples of its pretrained model with other noise; `paired`, the pretrained model with the policy's
 * noise, makes the floor. So an untrained policy is exactly at the floor, where samples of the same noise as the
 * reference would lie nearer. Precision, recall and coverage are left out of so few images that they have no k-th
 * neighbour.
 */
function priorMetrics(policy: Features, reference: Features, paired: Features, imagesPerPrompt: number) {
  return {
    frechetDistance: frechetDistance(policy, reference, paired),
    ...(imagesPerPrompt > neighbours && {
      precision: precision(policy, reference, paired),
      recall: recall(policy, reference, paired),
      coverage: coverage(policy, reference, paired),
    }),
  };
}

function exactMetrics(exact: ExactSummary, n: number): Record<string, EvaluatedMetric> {
  const four = (key: ExactMeasure) => ({
    value: exact[key],
    n,
    ...(enoughEss(tiltedEss(exact)) && { floor: exact.floor[key] }),
    target: exact.target[key],
    pretrained: exact.pretrained[key],
  });
  return {
    meanReward: four("meanReward"),
    modeTV: four("modeTV"),
    energyDistance: {
      ...four("energyDistance"),
      ...(exact.energyDistanceError !== undefined && { error: exact.energyDistanceError }),
    },
    withinStdRatio: four("withinStdRatio"),
    ...pathMetrics(exact, n),
  };
}
