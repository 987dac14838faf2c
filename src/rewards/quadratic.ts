import { z } from "zod";
import { ShapeError } from "../core/errors.ts";
import { constant } from "../tensor/index.ts";
import { defineReward } from "./reward.ts";

/** r = −‖x − center‖²/(2 tau²) of points [B, D]. */
export const quadratic = defineReward({
  kind: "quadratic",
  summary: "closeness to a point of an exact world: -|x - center|^2 / (2 tau^2)",
  options: z.strictObject({ center: z.array(z.number()).min(1), tau: z.number().positive().default(1) }),
  exact: ({ center, tau }) => ({ kind: "quadratic", center, tau }),
  score({ images }, { center, tau }) {
    if (images.shape[1] !== center.length) {
      throw new ShapeError(
        `quadratic: reward.center needs a number per coordinate of a point, ${images.shape[1]}, but has ${center.length}.`,
      );
    }
    const distance = images.sub(constant(Float32Array.from(center), [1, center.length]));
    return distance
      .square()
      .sum([1])
      .mul(-1 / (2 * tau * tau));
  },
});
