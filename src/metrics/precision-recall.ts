import { countInBalls, neighbourMetric, shareCounted } from "./neighbours.ts";

/**
 * Improved precision [kynkaanniemi2019precision]: the share of a model's images that lie near those of a reference (the
 * pretrained model) with the same prompt, in the ball of one of its images that reaches to that image's k-th nearest
 * neighbour; averaged over prompts, `std` over prompts. 1 for a set with itself, 0 for sets far apart; it does not see
 * modes that are missing.
 *
 * Equal laws give less than 1: how much depends on n, k and the law, so compare only values of as many images per
 * prompt (more than k, 16 are few) and read them against the `floor`. One outlier of the reference has a large ball:
 * see the density. Throws ShapeError for sizes that do not fit, NonFiniteError for NaN, NablaError for too few images.
 *
 * @param again images of the reference with other seeds, as many: what a perfect model reaches, the `floor`
 */
export const precision = neighbourMetric(
  {
    kind: "precision",
    summary: "share of images near an image of the pretrained model (k nearest neighbours) per prompt, averaged",
    better: "higher",
  },
  "Precision",
  (x, y, k) => shareCounted(countInBalls(x, y, k).ofPoints),
);

/**
 * Improved recall [kynkaanniemi2019precision]: precision with the parts changed, the share of the reference's images
 * that lie in a ball of one of the model's. It falls when modes are dropped. Sizes, floor and errors as for the
 * precision; an outlier of the model has a large ball and raises it: see the coverage.
 */
export const recall = neighbourMetric(
  {
    kind: "recall",
    summary: "share of the pretrained model's images near an image (k nearest neighbours) per prompt, averaged",
    better: "higher",
  },
  "Recall",
  (x, y, k) => shareCounted(countInBalls(y, x, k).ofPoints),
);
