import type { Rng } from "../core/rng.ts";
import { modeWeights } from "../metrics/modes.ts";
import type { ExactTarget } from "../models/exact-target.ts";
import { type Mixture, sampleMixture } from "../models/mixture.ts";

/** Centers of a target's modes, and the share of it that is nearest to each. */
export interface TargetModes {
  readonly centers: readonly (readonly number[])[];
  readonly weights: ArrayLike<number>;
}

/** Draws behind measured shares: their standard error is below 0.002. */
const DRAWS = 60_000;

/**
 * Where the target has a component for each of the prior's, these are its modes. Where it has more, they overlap, so that
 * a component's weight is not what is nearest to it: the shares of many exact draws. Where it is no mixture: the
 * modes it states, or the prior's, with the shares of its samples. Uses steps 6 and 7 of the stream `reference`.
 */
export function modesOf({ mixture, modes, samples }: ExactTarget, prior: Mixture, rng: Rng): TargetModes {
  if (modes) return { centers: modes.centers, weights: modeWeights(modes.draws, modes.centers) };
  if (!mixture) return { centers: prior.means, weights: modeWeights(samples, prior.means) };
  if (mixture.means.length === prior.means.length) return { centers: mixture.means, weights: mixture.weights };
  const draws = sampleMixture(mixture, DRAWS, rng, { purpose: "reference", step: 6 });
  return { centers: mixture.means, weights: modeWeights(draws, mixture.means) };
}
