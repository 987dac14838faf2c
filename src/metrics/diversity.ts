import { NablaError } from "../core/errors.ts";
import { dot, type Features, featuresByPrompt, overPrompts } from "./features.ts";
import { defineMetric } from "./metric.ts";

/**
 * Mean of 1 − cos between the features of all pairs of images of one prompt, averaged over prompts; `std` is over
 * prompts. Unbiased with any number of images per prompt, 2 or more; 16 are usual. With e = f/‖f‖ and n images,
 * mean_{j≠k} (1 − e_j·e_k) = 1 − (‖Σe‖² − n)/(n(n−1)). A zero vector counts as orthogonal to all.
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

function meanPairwiseDistance(rows: readonly Float64Array[]): number {
  const total = new Float64Array(rows[0]!.length);
  let selfSimilarity = 0; // Σ e_j·e_j: n unless some vector is zero
  for (const row of rows) {
    const norm = Math.sqrt(dot(row, row));
    if (norm === 0) continue;
    selfSimilarity++;
    for (let d = 0; d < total.length; d++) total[d]! += row[d]! / norm;
  }
  return 1 - (dot(total, total) - selfSimilarity) / (rows.length * (rows.length - 1));
}
