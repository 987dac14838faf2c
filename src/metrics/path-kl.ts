import { defineMetric } from "./metric.ts";

/**
 * KL(path_θ ‖ path_#) = E Σ_i ‖μ_θ − μ_#‖²/(2σ_i²) over trajectories of the finetuned chain, in nats over all elements of a
 * sample: what its reward was paid with. β E[r] − KL is the ELBO, so that of two chains with one mean reward the one with
 * the lower KL is nearer the tilted law.
 *
 * The pretrained chain itself has exactly 0, which is the floor.
 *
 * @param sums Σ_i ‖μ_θ − μ_#‖²/(2σ_i²), one per trajectory; 1,000 or more, of which its relative standard error is a few percent
 */
export const pathKl = defineMetric(
  {
    kind: "path-kl",
    summary: "KL divergence of the finetuned chain's paths from the pretrained chain's, in nats",
    better: "lower",
  },
  (sums: ArrayLike<number>) => {
    let total = 0;
    for (let j = 0; j < sums.length; j++) total += sums[j]!;
    return { value: total / sums.length, n: sums.length };
  },
);
