import { compareByPrompt } from "./compare-by-prompt.ts";
import { dot, type Features } from "./features.ts";
import { gramEigenvalues, products, transpose } from "./gram.ts";
import { defineMetric } from "./metric.ts";
import { symmetricEigen } from "./symmetric-eigen.ts";

/**
 * Fréchet distance (squared, as in the FID [heusel2017ttur]) between the normal laws with the mean and covariance of
 * the features of a model's and of a reference's images with the same prompt, averaged over prompts; `std` is over
 * prompts. The reference is the pretrained model: a measure of what finetuning moved, not the usual FID, and not of
 * Inception features.
 *
 * Biased upwards with few images: two samples of n from one N(0, I_F) are about (2F + F(F+1)/2)/n apart for n ≫ F. The
 * bias depends on the law, so a model may come out nearer for its bias alone, also with equally many images
 * [chong2020unbiased]. With n ≤ F images of a prompt the covariances have rank n − 1 at most, and the value is mostly
 * bias. So state n, compare only values of as many images per prompt, and read them against the `floor`. Between a set
 * and itself 0, to rounding (1e-12 of the variance, of either sign). Throws ShapeError for sizes that do not fit,
 * NonFiniteError for NaN, NablaError for a prompt with fewer than 2 images of either.
 *
 * @param again images of the reference with other seeds, as many: their distance to the reference is the `floor`
 */
export const frechetDistance = defineMetric(
  {
    kind: "frechet-distance",
    summary: "squared Frechet distance of features to the pretrained model per prompt, averaged over prompts",
    better: "lower",
  },
  (features: Features, reference: Features, again?: Features) =>
    compareByPrompt({ what: "The Fréchet distance", least: 2, compare: squaredFrechet }, features, reference, again),
);

/**
 * ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr(Σ₁^½ Σ₂ Σ₁^½)^½ [dowson1982frechet]. With Σ₁ = AᵀA and Σ₂ = BᵀB the last trace is
 * the sum of the singular values of A Bᵀ, whichever factors: those with the fewest rows keep it small.
 */
function squaredFrechet(x: readonly Float64Array[], y: readonly Float64Array[]): number {
  const [first, second] = [meanAndDeviations(x), meanAndDeviations(y)];
  const [a, b] = [covarianceFactor(first.deviations), covarianceFactor(second.deviations)];
  const shift = first.mean.map((value, d) => value - second.mean[d]!);
  const overlap = gramEigenvalues(products(a, b)).reduce((sum, value) => sum + Math.sqrt(value), 0);
  return dot(shift, shift) + trace(a) + trace(b) - 2 * overlap;
}

/**
 * Mean of n vectors, and n − 1 vectors c with Σ c cᵀ = the unbiased covariance: c_k = √(k/(k+1)) (x_{k+1} − mean(x_1 …
 * x_k))/√(n−1), the summands of the running variance [welford1962note]. One fewer than the centred vectors, which
 * depend on each other.
 */
function meanAndDeviations(rows: readonly Float64Array[]): { mean: Float64Array; deviations: Float64Array[] } {
  const mean = Float64Array.from(rows[0]!);
  const deviations = rows.slice(1).map((row, j) => {
    const k = j + 1;
    const scale = Math.sqrt(k / (k + 1) / (rows.length - 1));
    return row.map((value, d) => {
      const difference = value - mean[d]!;
      mean[d]! += difference / (k + 1);
      return scale * difference;
    });
  });
  return { mean, deviations };
}

/** A with AᵀA = Σ and no more rows than features: the deviations, or Λ^½Vᵀ of Σ = VΛVᵀ where they are more. */
function covarianceFactor(deviations: readonly Float64Array[]): readonly Float64Array[] {
  const size = deviations[0]!.length;
  if (deviations.length <= size) return deviations;
  const columns = transpose(deviations);
  const { values, vectors } = symmetricEigen(products(columns, columns));
  return vectors.map((vector, k) => vector.map((value) => Math.sqrt(Math.max(0, values[k]!)) * value));
}

/** tr AᵀA */
const trace = (a: readonly Float64Array[]): number => a.reduce((sum, row) => sum + dot(row, row), 0);
