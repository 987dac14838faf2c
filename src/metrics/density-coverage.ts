import { countInBalls, neighbourMetric, shareCounted } from "./neighbours.ts";

/**
 * Density [naeem2020density]: how many balls of a reference's images (to their k-th nearest neighbour) hold an image of
 * the model with the same prompt, divided by k; averaged over prompts, `std` over prompts. Equal laws give 1 on average
 * with any number of images; in many dimensions a model that keeps to the middle of the reference gives more, since
 * many balls reach there. The border belongs to a ball here, which keeps a set of equal images in its own balls. Throws
 * ShapeError for sizes that do not fit, NonFiniteError for NaN, NablaError for k images of a prompt or fewer.
 *
 * @param again images of the reference with other seeds, as many: what a perfect model reaches, the `floor`
 */
export const density = neighbourMetric(
  {
    kind: "density",
    summary: "neighbourhoods of the pretrained model's images around an image, 1 for equal laws, averaged over prompts",
    better: "one",
  },
  "Density",
  (x, y, k) => countInBalls(x, y, k).ofPoints.reduce((sum, count) => sum + count, 0) / (k * x.length),
);

/**
 * Coverage [naeem2020density]: the share of the reference's images whose ball, to the k-th nearest other image of the
 * reference, holds an image of the model with the same prompt; averaged over prompts, `std` over prompts. It falls when
 * modes are dropped, and outliers of the model do not raise it.
 *
 * n images of equal laws give 1 − Π_{j=1…k} (n − j)/(2n − j) on average, whatever the law without ties: 0.90 for n =
 * 16, k = 3, towards 1 − 2^−k for many. So compare only values of as many images per prompt and read them against the
 * `floor`. Errors as for the density.
 *
 * @param again images of the reference with other seeds, as many: what a perfect model reaches, the `floor`
 */
export const coverage = neighbourMetric(
  {
    kind: "coverage",
    summary: "share of the pretrained model's images with an image in their neighbourhood per prompt, averaged",
    better: "higher",
  },
  "Coverage",
  (x, y, k) => shareCounted(countInBalls(x, y, k).ofBalls),
);
