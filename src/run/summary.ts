import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FormatError } from "../core/errors.ts";
import { writeJsonAtomic } from "./atomic.ts";

/** What a model's pictures are like: measured with noise disjoint from training, the same before and after. */
export interface ModelSummary {
  /** Mean over all images, and their standard deviation. */
  readonly reward: number;
  readonly rewardStd: number;
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
  readonly withinStdRatio: number;
}

export interface ExactMeasures extends ExactReference {
  readonly elbo: number;
  readonly importanceEss: number;
  /** The exact p*. */
  readonly target: ExactReference;
  /** The exactly tilted pretrained sampler, through importance weights of effective sample size `ess`: no bound. */
  readonly floor: ExactReference & { readonly ess: number };
  readonly pretrained: ExactReference;
}

/** Exact measures of a world with a known target; of several prompts, the mean at the top. */
export interface ExactSummary extends ExactMeasures {
  readonly prompts?: Readonly<Record<string, ExactMeasures>>;
}

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

/** Throws FormatError when summary.json is not JSON with before and after; the system's error when it is absent. */
export async function readSummary(run: string): Promise<RunSummary> {
  const path = join(run, "summary.json");
  const text = await readFile(path, "utf8");
  let summary: RunSummary;
  try {
    summary = JSON.parse(text);
  } catch (error) {
    throw new FormatError(`${path} is not JSON: ${(error as Error).message}`);
  }
  if (typeof summary?.before !== "object" || typeof summary?.after !== "object") {
    throw new FormatError(`${path}: a summary has "before" and "after".`);
  }
  return summary;
}
