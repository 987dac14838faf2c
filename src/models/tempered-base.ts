import type { Tensor } from "../tensor/index.ts";
import type { Model } from "./model.ts";

/** With ς² = 1−ᾱ a score of −ς²x, that of noise at ς = 1, has ε = ς³x, x̂ = √ᾱ(1+ς²)x and v_prediction = −√ᾱ ς x: the factor of x. */
const slopes: { readonly [Prediction in Model["prediction"]]?: (alphaBar: Tensor) => Tensor } = {
  epsilon: (alphaBar) => noisePower(alphaBar).mul(noisePower(alphaBar).sqrt()),
  sample: (alphaBar) => alphaBar.sqrt().mul(noisePower(alphaBar).add(1)),
  v_prediction: (alphaBar) => alphaBar.mul(noisePower(alphaBar)).sqrt().neg(),
};

const noisePower = (alphaBar: Tensor): Tensor => alphaBar.neg().add(1);

/** Of a velocity there is none: rectified flow has other levels. */
export const hasTemperedBase = (prediction: Model["prediction"]): boolean => prediction in slopes;

/**
 * The prediction whose score is (1−c)·score_# − c ς²x: that of noise at ς = 1, and of p^{1−c} at ς = 0, where score_# is that
 * of `out` (docs/methods.md E.7). x and out [B, D], ᾱ [B], c [1].
 */
export function temperedBase(
  prediction: Model["prediction"],
  out: Tensor,
  x: Tensor,
  alphaBar: Tensor,
  c: Tensor,
): Tensor {
  const slope = slopes[prediction];
  if (!slope) throw new Error(`prediction "${prediction}" has no tempered base; hasTemperedBase tells`);
  return out.add(
    x
      .mul(slope(alphaBar.reshape([-1, 1])))
      .sub(out)
      .mul(c),
  );
}
