import type { NamedArrays } from "../core/named-arrays.ts";
import { Rng } from "../core/rng.ts";
import { pairsWithin } from "../metrics/grouped-pairs.ts";
import { energyDistance, modeTv } from "../metrics/index.ts";
import { pooledStd } from "../metrics/within-std.ts";
import { type ExactReward, exactTarget, expectedReward, rewardLaw, rewards } from "../models/exact-target.ts";
import { dimensionOf, logDensity, type Mixture, sampleMixture } from "../models/mixture.ts";
import { temperedTarget } from "../models/tempered-target.ts";
import type { ExactMeasures, ExactReference, ExactSummary, RewardAloneMeasures } from "../run/index.ts";
import type { Runtime } from "../runtime/index.ts";
import type { Trajectories } from "../sample/chain-sampler.ts";
import type { SamplingParts } from "../train/prepare.ts";
import type { HalfSteps } from "./flow-gradient.ts";
import { sampleComparing } from "./path-ratio.ts";
import { pathMeasures, type TargetLaw } from "./path-summary.ts";
import { type PolicySamples, samplePolicy } from "./sample-policy.ts";
import { modesOf, type TargetModes } from "./target-modes.ts";
import { tiltedSampler } from "./tilted-sampler.ts";

/** Samples behind every exact measure, per prompt. */
const LEAST_SAMPLES = 10_000;

export interface ExactOptions extends TargetLaw {
  /** β of an objective that aims at exp(β r), whatever the prior is. */
  aloneBeta?: number | undefined;
  samples: number;
  seed: number;
  block: number;
  /** Draws the finetuned samples, and no others, in half steps. */
  halfSteps?: HalfSteps | undefined;
  signal?: AbortSignal | undefined;
}

type Points = Float32Array | Float64Array;

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
  { aloneBeta, beta, priorStrength: eta, samples, seed, block, halfSteps, signal }: ExactOptions,
): Promise<{ measures: ExactMeasures; points: ExactPoints }> {
  const n = Math.max(samples, LEAST_SAMPLES);
  const dimension = prior.means[0]!.length;
  const rng = new Rng(seed);
  const drawn = (step: number) =>
    eta === 1
      ? exactTarget(prior, reward, beta, n, rng, { purpose: "reference", step })
      : temperedTarget(prior, reward, beta, eta, n, rng, { purpose: "reference", step });
  const [target, again] = [drawn(0), drawn(3)];
  const prompts = new Array<string>(n).fill(prompt);
  const request = { prompts, seed, purpose: "evaluation", block, signal } as const;
  const { after, paths } = await finetunedSamples(runtime, parts, policy, { ...request, halfSteps });
  const before = last(await samplePolicy(runtime, parts, undefined, request));

  const alone = aloneBeta === undefined ? undefined : rewardLaw(reward, aloneBeta);
  const compare = comparer(target.samples, modesOf(target, prior, rng), reward, dimension);
  const world = { prompt, prior, reward, beta, priorStrength: eta, seed, block, signal };
  const tilts = logTilts(before, prior, reward, world);
  const { points: tilted, sources, ...drawnTilted } = await tiltedSampler(runtime, parts, before, tilts, world);

  return {
    measures: {
      ...compare(after),
      ...(paths && pathMeasures(logTilts(after, prior, reward, { beta, priorStrength: eta }), prompts, paths, 1)),
      target: { ...compare(again.samples), meanReward: target.meanReward },
      floor: { ...compare(tilted, sources), ...drawnTilted },
      pretrained: compare(before),
      ...(alone && {
        rewardAlone: besideLaw(after, alone, reward, sampleMixture(alone, n, rng, { purpose: "reference", step: 6 })),
      }),
    },
    points: { before, after, target: target.samples },
  };
}

/** Points [n, D] of the finetuned chain and, where every step of it has noise, the sums of their paths. */
async function finetunedSamples(runtime: Runtime, parts: SamplingParts, policy: NamedArrays, request: PolicySamples) {
  if (!parts.chain.stochastic) return { after: last(await samplePolicy(runtime, parts, policy, request)) };
  const { paths, ...finetuned } = await sampleComparing(runtime, parts, policy, request);
  return { after: last(finetuned), paths };
}

/** Compares points with samples of the target; what these alone decide is computed once. */
function comparer(samples: Float64Array, { centers, weights }: TargetModes, reward: ExactReward, dimension: number) {
  const withinY = pairsWithin(samples, dimension);
  const width = pooledStd(samples, centers);
  return (points: Points, sources?: Int32Array): ExactReference => {
    const distance = energyDistance(points, samples, dimension, { withinY, ...(sources && { sources }) });
    return {
      meanReward: mean(rewards(points, reward)),
      modeTV: modeTv(points, centers, weights).value,
      energyDistance: distance.value,
      energyDistanceError: distance.error,
      withinStdRatio: pooledStd(points, centers) / width,
    };
  };
}

/** Points beside the law of an objective that has no part for the prior. */
function besideLaw(points: Points, law: Mixture, reward: ExactReward, samples: Float64Array): RewardAloneMeasures {
  const { value, error } = energyDistance(points, samples, dimensionOf(law));
  return {
    meanReward: expectedReward(law, reward) ?? mean(rewards(samples, reward)),
    energyDistance: value,
    energyDistanceError: error,
  };
}

const last = ({ states }: Trajectories) => states[states.length - 1]!;

/**
 * log of what turns p_pre into the target: β r, and for another prior strength (η−1) log p as well. There the density p of
 * the data stands in for that of the pretrained chain, which is not known: the tilted chain is then p_pre p^{η−1} exp(β r),
 * off p_pre^η exp(β r) by what the chain's few steps make of p.
 */
function logTilts(points: Points, prior: Mixture, reward: ExactReward, { beta, priorStrength }: TargetLaw) {
  const dimension = prior.means[0]!.length;
  const tilts = rewards(points, reward).map((r) => beta * r);
  if (priorStrength === 1) return tilts;
  return tilts.map(
    (t, j) => t + (priorStrength - 1) * logDensity(prior, points.subarray(j * dimension, (j + 1) * dimension)),
  );
}

const mean = (values: Float64Array): number => values.reduce((p, q) => p + q, 0) / values.length;

/** The mean of every number over prompts. */
function average(all: readonly ExactMeasures[]): ExactMeasures {
  const over = (pick: (m: ExactMeasures) => number) => all.reduce((sum, m) => sum + pick(m), 0) / all.length;
  const four = (pick: (m: ExactMeasures) => ExactReference): ExactReference => ({
    meanReward: over((m) => pick(m).meanReward),
    modeTV: over((m) => pick(m).modeTV),
    energyDistance: over((m) => pick(m).energyDistance),
    // prompts are independent: the variance of their mean is the mean variance over their number
    energyDistanceError: Math.sqrt(over((m) => pick(m).energyDistanceError! ** 2) / all.length),
    withinStdRatio: over((m) => pick(m).withinStdRatio),
  });
  return {
    ...four((m) => m),
    ...(all[0]!.elbo !== undefined && {
      elbo: over((m) => m.elbo!),
      importanceEss: over((m) => m.importanceEss!),
      pathKl: over((m) => m.pathKl!),
    }),
    target: four((m) => m.target),
    floor: {
      ...four((m) => m.floor),
      ess: over((m) => m.floor.ess),
      method: all.some(({ floor }) => floor.method === "twisted-smc") ? "twisted-smc" : "importance",
    },
    pretrained: four((m) => m.pretrained),
    ...(all.every((m) => m.rewardAlone) && {
      rewardAlone: {
        meanReward: over((m) => m.rewardAlone!.meanReward),
        energyDistance: over((m) => m.rewardAlone!.energyDistance),
        energyDistanceError: Math.sqrt(over((m) => m.rewardAlone!.energyDistanceError ** 2) / all.length),
      },
    }),
  };
}
