import { effectiveSampleSize, systematicResample } from "../core/importance.ts";
import type { NamedArrays } from "../core/named-arrays.ts";
import { Rng } from "../core/rng.ts";
import { energyDistance, modeTv, withinStd } from "../metrics/index.ts";
import { modeWeights } from "../metrics/modes.ts";
import { type ExactReward, type ExactTarget, exactTarget, rewardAt } from "../models/exact-target.ts";
import type { Mixture } from "../models/mixture.ts";
import type { ExactMeasures, ExactReference, ExactSummary } from "../run/index.ts";
import type { Runtime } from "../runtime/index.ts";
import type { Trajectories } from "../sample/chain-sampler.ts";
import type { SamplingParts } from "../train/prepare.ts";
import { logPathRatio } from "./path-ratio.ts";
import { samplePolicy } from "./sample-policy.ts";

/** Samples behind every exact measure, per prompt. */
const LEAST_SAMPLES = 6000;

export interface ExactOptions {
  beta: number;
  samples: number;
  seed: number;
  block: number;
  signal?: AbortSignal | undefined;
}

/** What was compared, for a picture: points [n, D] of the first prompt. */
export interface ExactPoints {
  before: Float32Array;
  after: Float32Array;
  target: Float64Array;
}

/**
 * Compares the finetuned model with its exactly known target, beside the pretrained sampler and the exactly tilted
 * pretrained sampler. Undefined when the target has no closed form here: not an exact world, or a reward without one.
 */
export async function exactSummary(
  runtime: Runtime,
  parts: SamplingParts,
  rewards: Readonly<Record<string, ExactReward | undefined>>,
  policy: NamedArrays,
  options: ExactOptions,
): Promise<{ summary: ExactSummary; points: ExactPoints; samples: number } | undefined> {
  const { prior } = parts.model;
  if (!prior || Object.values(rewards).some((reward) => !reward)) return undefined;
  const results: Record<string, ExactMeasures> = {};
  let points: ExactPoints | undefined;
  for (const [prompt, mixture] of Object.entries(prior)) {
    const { measures, points: own } = await measurePrompt(
      runtime,
      parts,
      prompt,
      mixture,
      rewards[prompt]!,
      policy,
      options,
    );
    results[prompt] = measures;
    points ??= own;
  }
  const all = Object.values(results);
  const summary = all.length === 1 ? all[0]! : { ...average(all), prompts: results };
  return { summary, points: points!, samples: Math.max(options.samples, LEAST_SAMPLES) };
}

async function measurePrompt(
  runtime: Runtime,
  parts: SamplingParts,
  prompt: string,
  prior: Mixture,
  reward: ExactReward,
  policy: NamedArrays,
  { beta, samples, seed, block, signal }: ExactOptions,
): Promise<{ measures: ExactMeasures; points: ExactPoints }> {
  const n = Math.max(samples, LEAST_SAMPLES);
  const dimension = prior.means[0]!.length;
  const rng = new Rng(seed);
  const target = exactTarget(prior, reward, beta, n, rng, { purpose: "reference", step: 0 });
  const again = exactTarget(prior, reward, beta, n, rng, { purpose: "reference", step: 3 });
  const request = { prompts: new Array<string>(n).fill(prompt), seed, purpose: "evaluation", block, signal } as const;
  const paths = await samplePolicy(runtime, parts, policy, { ...request, keepStates: true });
  const after = last(paths);
  const before = last(await samplePolicy(runtime, parts, undefined, request));

  const compare = (points: ArrayLike<number>): ExactReference => reference(points, target, prior, reward, dimension);
  const tilt = rewardsOf(before, reward, dimension).map((r) => beta * r);
  const chosen = systematicResample(tilt, n, rng, { purpose: "metric" });
  const tilted = Float32Array.from(
    { length: n * dimension },
    (_, k) => before[chosen[Math.floor(k / dimension)]! * dimension + (k % dimension)]!,
  );

  // w = exp(βr − log π_θ/π_#): the finetuned sampler corrected to the tilted one
  const ratio = await logPathRatio(runtime, parts, paths, block);
  const logWeights = rewardsOf(after, reward, dimension).map((r, k) => beta * r - ratio[k]!);
  return {
    measures: {
      ...compare(after),
      elbo: mean(logWeights),
      importanceEss: effectiveSampleSize(logWeights) / n,
      target: { ...compare(again.samples), meanReward: target.meanReward },
      floor: { ...compare(tilted), ess: effectiveSampleSize(tilt) },
      pretrained: compare(before),
    },
    points: { before, after, target: target.samples },
  };
}

function reference(
  points: ArrayLike<number>,
  target: ExactTarget,
  prior: Mixture,
  reward: ExactReward,
  dimension: number,
): ExactReference {
  const centers = target.mixture?.means ?? prior.means;
  const weights = target.mixture?.weights ?? modeWeights(target.samples, centers);
  return {
    meanReward: mean(rewardsOf(points, reward, dimension)),
    modeTV: modeTv(points, centers, weights).value,
    energyDistance: energyDistance(points, target.samples, dimension).value,
    withinStdRatio: withinStd(points, target.samples, centers).value,
  };
}

const last = ({ states }: Trajectories) => states[states.length - 1]!;

const rewardsOf = (points: ArrayLike<number>, reward: ExactReward, dimension: number): Float64Array =>
  Float64Array.from({ length: points.length / dimension }, (_, k) =>
    rewardAt(
      Array.from({ length: dimension }, (_, d) => points[k * dimension + d]!),
      reward,
    ),
  );

const mean = (values: Float64Array): number => values.reduce((p, q) => p + q, 0) / values.length;

/** The mean of every number over prompts. */
function average(all: readonly ExactMeasures[]): ExactMeasures {
  const over = (pick: (m: ExactMeasures) => number) => all.reduce((sum, m) => sum + pick(m), 0) / all.length;
  const four = (pick: (m: ExactMeasures) => ExactReference): ExactReference => ({
    meanReward: over((m) => pick(m).meanReward),
    modeTV: over((m) => pick(m).modeTV),
    energyDistance: over((m) => pick(m).energyDistance),
    withinStdRatio: over((m) => pick(m).withinStdRatio),
  });
  return {
    ...four((m) => m),
    elbo: over((m) => m.elbo),
    importanceEss: over((m) => m.importanceEss),
    target: four((m) => m.target),
    floor: { ...four((m) => m.floor), ess: over((m) => m.floor.ess) },
    pretrained: four((m) => m.pretrained),
  };
}
