import { effectiveSampleSize } from "../core/importance.ts";
import { defineMetric } from "./metric.ts";

/**
 * Effective share (Σw)²/(n Σw²) of samples reweighted by w = exp(log w) to the exact target, 0 to 1. For a finetuned
 * chain log w = β r(x_T) − Σ_i log π_θ/π_#(x_{i+1} | x_i); 1 when the chain samples the tilted pretrained chain.
 *
 * @param logWeights one per sample, 6,000 or more: fewer miss rare large weights and flatter the value
 */
export const importance = defineMetric(
  {
    kind: "importance",
    summary: "effective share of samples when reweighted to the tilted pretrained sampler",
    better: "higher",
  },
  (logWeights: ArrayLike<number>) => ({
    value: effectiveSampleSize(logWeights) / logWeights.length,
    n: logWeights.length,
  }),
);
