import { NablaError } from "../core/errors.ts";
import { dot, type Features, featuresByPrompt, overPrompts } from "./features.ts";
import { defineMetric } from "./metric.ts";

/**
 * Mean of 1 − cos between the features of all pairs of images of one prompt, averaged over prompts; `std` is over
 * prompts. Unbiased with any number of images per prompt, 2 or more; 16 are usual. A zero vector counts as orthogonal to
 * all. It has no floor of its own: 0 for copies of one image, and read beside the pretrained model's, drawn from the same noise.
 */
export const diversity = defineMetric(
  {
    kind: "diversity",
    summary: "mean pairwise 1 - cos of features per prompt, averaged over prompts",
    better: "higher",
  },
  (features: Features) => {
    const perPrompt = [...featuresByPrompt(features)].map(([prompt, rows]) => {
      if (rows.length < 2) {
        throw new NablaError(
          `Diversity compares images of one prompt, but ${JSON.stringify(prompt)} has 1. Use 2 or more images per prompt.`,
        );
      }
      return meanPairwiseDistance(rows);
    });
    return { ...overPrompts(perPrompt), n: features.prompts.length };
  },
);

/**
 * Mean of 1 − cos over pairs of different vectors, vector j with weight w_j, 1 when left out, of any scale. With e = f/‖f‖:
 * Σ_{j≠k} w_j w_k (1 − e_j·e_k) / Σ_{j≠k} w_j w_k = 1 − (‖Σ w e‖² − Σ w² e·e)/((Σ w)² − Σ w²).
 */
export function meanPairwiseDistance(rows: readonly Float64Array[], weights?: ArrayLike<number>): number {
  const total = new Float64Array(rows[0]!.length); // Σ w e
  let own = 0; // Σ w² e·e: Σ w² unless some vector is zero
  let sum = 0; // Σ w
  let squares = 0; // Σ w²
  rows.forEach((row, j) => {
    const weight = weights?.[j] ?? 1;
    sum += weight;
    squares += weight * weight;
    const norm = Math.sqrt(dot(row, row));
    if (norm === 0) return;
    own += weight * weight;
    for (let d = 0; d < total.length; d++) total[d]! += (weight * row[d]!) / norm;
  });
  return 1 - (dot(total, total) - own) / (sum * sum - squares);
}
