import { join } from "node:path";
import { z } from "zod";
import { readBoundedText } from "../core/bounded-file.ts";
import { FormatError } from "../core/errors.ts";
import { parseJson } from "../core/parse-json.ts";
import { writeJsonAtomic } from "./atomic.ts";

/** How a finetuned chain stands to the exactly tilted pretrained chain, w = exp(β r − log π_θ/π_#). */
export interface PathMeasures {
  /** Mean log w: at most log Z. */
  readonly elbo: number;
  /** (Σw)²/(n Σw²) within a prompt, averaged over prompts. */
  readonly importanceEss: number;
  /** KL divergence of the finetuned chain's paths from the pretrained chain's. */
  readonly pathKl: number;
}

/** What a model's pictures are like: measured with noise disjoint from training, the same before and after. */
export interface ModelSummary extends Partial<PathMeasures> {
  /** Mean over all images, and their standard deviation. */
  readonly reward: number;
  readonly rewardStd: number;
  /** Of a sum of rewards: the mean score of each part, before its mean, std and weight. */
  readonly rewardParts?: Readonly<Record<string, number>>;
  /** Mean pairwise 1 − cos of features within a prompt, averaged over prompts. */
  readonly diversity: number;
  /** The same of the features of a network by others; pictures only. */
  readonly diversityThirdParty?: number;
  readonly promptAgreement?: number;
  readonly images: number;
  readonly seeds: readonly number[];
}

export interface TrainedSummary extends ModelSummary {
  /** Unbiased kernel distance of features to the pretrained model, averaged over prompts. */
  readonly priorDistance?: number;
  /** The same of the pretrained model against itself with disjoint seeds. */
  readonly priorDistanceFloor?: number;
}

/** Distances to the exact target, or properties of a reference under the same measures. */
export interface ExactReference {
  readonly meanReward: number;
  readonly modeTV: number;
  readonly energyDistance: number;
  /** Bootstrap standard error of the energy distance; absent in runs from before it was measured. */
  readonly energyDistanceError?: number;
  readonly withinStdRatio: number;
}

/** What the tilted sampler was drawn by: resampling of weighted samples, or filters where those weights collapse. */
export const tiltedMethods = ["importance", "twisted-smc"] as const;

/** The exactly tilted pretrained sampler, which is no bound. */
export interface TiltedMeasures extends ExactReference {
  /** How many independent draws it is worth; below `leastEss` its measures say nothing. */
  readonly ess: number;
  /** Of several prompts: twisted-smc where one needed it. Absent in runs from before there was a choice: importance. */
  readonly method?: (typeof tiltedMethods)[number];
}

/** Beside exp(β r), the target of an objective that has no part for the prior. */
export interface RewardAloneMeasures {
  /** Of that law. */
  readonly meanReward: number;
  readonly energyDistance: number;
  /** Bootstrap standard error of the energy distance. */
  readonly energyDistanceError: number;
}

/** Of a chain with a step without noise, whose paths have no density, there are no path measures; in older runs no `pathKl`. */
export interface ExactMeasures extends ExactReference, Partial<PathMeasures> {
  /** The exact p*. */
  readonly target: ExactReference;
  readonly floor: TiltedMeasures;
  readonly pretrained: ExactReference;
  /** Of objectives that aim at exp(β r), where that is known. */
  readonly rewardAlone?: RewardAloneMeasures;
}

/** Exact measures of a world with a known target; of several prompts, the mean at the top. */
export interface ExactSummary extends ExactMeasures {
  readonly prompts?: Readonly<Record<string, ExactMeasures>>;
}

/** A target is reached by an energy distance of no more than this above the tilted sampler's, or above 0 where that has none. */
export const reachedWithin = 0.004;

/** Whether an energy distance reaches the target, beside that of the tilted sampler. */
export const reachesTarget = (energyDistance: number, tilted = 0): boolean =>
  energyDistance <= Math.max(0, tilted) + reachedWithin;

/** The least effective sample size of the tilted sampler over prompts. */
export const tiltedEss = ({ floor, prompts }: ExactSummary): number =>
  Math.min(...(prompts ? Object.values(prompts).map((prompt) => prompt.floor.ess) : [floor.ess]));

/** summary.json of a run. */
export interface RunSummary {
  readonly before: ModelSummary;
  readonly after: TrainedSummary;
  /** Wall time of the whole run. */
  readonly seconds: number;
  readonly exact?: ExactSummary;
}

export async function writeSummary(run: string, summary: RunSummary): Promise<void> {
  await writeJsonAtomic(join(run, "summary.json"), summary);
}

/** JSON has null for a number that is not finite. */
const number = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const measured = number.optional();
const model = z.looseObject({
  reward: number,
  rewardStd: number,
  rewardParts: z.record(z.string(), number).optional(),
  diversity: number,
  diversityThirdParty: measured,
  promptAgreement: measured,
  priorDistance: measured,
  priorDistanceFloor: measured,
  elbo: measured,
  importanceEss: measured,
  pathKl: measured,
  images: number,
  seeds: z.array(z.number()),
});
const reference = z.looseObject({
  meanReward: number,
  modeTV: number,
  energyDistance: number,
  energyDistanceError: measured,
  withinStdRatio: number,
});
const exact = reference.extend({
  elbo: measured,
  importanceEss: measured,
  pathKl: measured,
  target: reference,
  floor: reference.extend({ ess: number, method: z.enum(tiltedMethods).optional() }),
  pretrained: reference,
  rewardAlone: z.looseObject({ meanReward: number, energyDistance: number, energyDistanceError: number }).optional(),
});
const summarySchema = z.looseObject({
  before: model,
  after: model,
  seconds: number,
  exact: exact.extend({ prompts: z.record(z.string(), exact).optional() }).optional(),
});

/** Throws FormatError when summary.json is not JSON with before and after, or a measure is no number; the system's error when it is absent. */
export async function readSummary(run: string): Promise<RunSummary> {
  const path = join(run, "summary.json");
  const summary = summarySchema.safeParse(parseJson(await readBoundedText(path, "a summary"), path));
  if (!summary.success) throw new FormatError(`${path}: ${z.prettifyError(summary.error).slice(0, 1000)}`);
  return summary.data as RunSummary;
}
