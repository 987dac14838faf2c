import { z } from "zod";
import { ShapeError } from "../core/errors.ts";
import { checkMixture, componentLogits, mixtureFields, mixtureOf } from "../models/mixture.ts";
import { constant } from "../tensor/index.ts";
import { defineReward } from "./reward.ts";

/** r = log Σ_k w_k N(x; m_k, s_k² I) of points [B, D]: with beta 1, the target is the prior times this mixture. */
export const mixtureLogDensity = defineReward({
  kind: "mixture-log-density",
  summary: "log density of a Gaussian mixture at a point of an exact world",
  options: z.strictObject(mixtureFields).superRefine(checkMixture),
  exact: (options) => ({ kind: "mixture-log-density", mixture: mixtureOf(options) }),
  score({ images }, options) {
    const { means, stds, weights } = mixtureOf(options);
    const [K, D] = [means.length, means[0]!.length];
    if (images.shape[1] !== D) {
      throw new ShapeError(
        `mixture-log-density: reward.means need a number per coordinate of a point, ${images.shape[1]}, but have ${D}.`,
      );
    }
    const differences = images.reshape([-1, 1, D]).sub(constant(Float32Array.from(means.flat()), [1, K, D]));
    const logWeights = constant(
      Float32Array.from(weights, (w) => Math.log(Math.max(w, Number.MIN_VALUE))),
      [1, K],
    );
    const variances = constant(
      Float32Array.from(stds, (s) => s * s),
      [1, K],
    );
    return componentLogits(differences, logWeights, variances).logSumExp();
  },
});
