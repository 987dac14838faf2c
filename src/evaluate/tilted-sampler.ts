import { effectiveSampleSize, enoughEss, systematicResample } from "../core/importance.ts";
import { Rng } from "../core/rng.ts";
import { rowsAt } from "../core/rows.ts";
import { dimensionOf } from "../models/mixture.ts";
import type { TiltedMeasures } from "../run/index.ts";
import type { Runtime } from "../runtime/index.ts";
import type { SamplingParts } from "../train/prepare.ts";
import { filterSpread } from "./filter-spread.ts";
import { type SmcOptions, twistedSmc } from "./twisted-smc.ts";

type Points = Float32Array | Float64Array;

export interface TiltedPoints extends Required<Pick<TiltedMeasures, "ess" | "method">> {
  /** As many as came, [n, D]. */
  readonly points: Points;
  /** Which draw each point is a copy of. [n] */
  readonly sources: Int32Array;
}

/** As few filters as their spread can be told from, so that each has many particles. */
const FILTERS = 20;

/**
 * Draws of the exactly tilted pretrained chain, p_#(path) exp(β r(x_T))/Z: `pretrained` samples [n, D] resampled by exp(tilts), and
 * where fewer than `leastEss` of them count, as many particles of twisted SMC, unless these are worth even less. There is no SMC
 * with a prior strength below 1, which the tilts then hold as well, nor on a chain with a step without noise, which has no density to weigh by.
 */
export async function tiltedSampler(
  runtime: Runtime,
  parts: SamplingParts,
  pretrained: Points,
  tilts: Float64Array,
  { priorStrength, ...options }: Omit<SmcOptions, "filters" | "particles"> & { priorStrength: number },
): Promise<TiltedPoints> {
  const { prior, reward, seed } = options;
  const dimension = dimensionOf(prior);
  const n = pretrained.length / dimension;
  const rng = new Rng(seed);
  const resampled = (points: Points, logWeights: Float64Array) => {
    const sources = systematicResample(logWeights, n, rng, { purpose: "metric" });
    return { points: rowsAt(points, dimension, sources), sources };
  };
  const ess = effectiveSampleSize(tilts);
  if (!enoughEss(ess) && priorStrength === 1 && parts.chain.stochastic) {
    const sizes = { filters: FILTERS, particles: Math.ceil(n / FILTERS) };
    const particles = await twistedSmc(runtime, parts, { ...options, ...sizes });
    const spread = filterSpread(particles, reward);
    if (spread.ess > ess) {
      return { ...resampled(particles.points, particles.logWeights), ess: spread.ess, method: "twisted-smc" };
    }
  }
  return { ...resampled(pretrained, tilts), ess, method: "importance" };
}
