import { NablaError } from "../core/errors.ts";
import { checkedByPrompt } from "./compare-by-prompt.ts";
import { dot, type Features, overPrompts } from "./features.ts";
import { gramEigenvalues } from "./gram.ts";
import { defineMetric } from "./metric.ts";

/**
 * Effective number of different images of a prompt, 1 to n: the exponential of the von Neumann entropy of K/n, where K
 * is the matrix of the cosines between the features of its n images [friedman2023vendi]; averaged over prompts, `std`
 * over prompts. k equal groups, orthogonal to each other, give k. A zero vector counts as orthogonal to all, as in the
 * diversity.
 *
 * It grows with n (never above n or, without zero vectors, the number of features), so compare only values of as many
 * images per prompt. It has no floor: the value to compare with is that of the pretrained model. Throws ShapeError for
 * sizes that do not fit, NonFiniteError for NaN, NablaError for a prompt with one image.
 */
export const vendiScore = defineMetric(
  {
    kind: "vendi-score",
    summary: "effective number of different images per prompt (Vendi score of feature cosines), averaged over prompts",
    better: "higher",
  },
  (features: Features) => {
    const perPrompt = [...checkedByPrompt("The Vendi score", features)].map(([prompt, rows]) => {
      if (rows.length < 2) {
        throw new NablaError(
          `The Vendi score compares images of one prompt, but ${JSON.stringify(prompt)} has 1. Use 2 or more images per prompt.`,
        );
      }
      return effectiveNumber(rows);
    });
    return { ...overPrompts(perPrompt), n: features.prompts.length };
  },
);

/** exp(−Σ λ log λ) over the eigenvalues λ of K/n, K_jk = e_j·e_k, e = f/‖f‖; each zero vector has the eigenvalue 1/n. */
function effectiveNumber(rows: readonly Float64Array[]): number {
  const n = rows.length;
  const units = rows.flatMap((row) => {
    const norm = Math.sqrt(dot(row, row));
    return norm === 0 ? [] : [row.map((value) => value / norm)];
  });
  const eigenvalues = units.length === 0 ? [] : [...gramEigenvalues(units)];
  const zeros = new Array<number>(n - units.length).fill(1);
  const entropy = [...eigenvalues, ...zeros].reduce(
    (sum, value) => (value === 0 ? sum : sum - (value / n) * Math.log(value / n)),
    0,
  );
  return Math.exp(entropy);
}
