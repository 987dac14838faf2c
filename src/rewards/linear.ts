import { z } from "zod";
import { ShapeError } from "../core/errors.ts";
import { constant } from "../tensor/index.ts";
import { defineReward } from "./reward.ts";

/** r = k·x of points [B, D]: its gradient is k everywhere. */
export const linear = defineReward({
  kind: "linear",
  summary: "linear reward k.x of a point of an exact world",
  options: z.strictObject({ k: z.array(z.number()).min(1) }),
  exact: ({ k }) => ({ kind: "linear", k }),
  score({ images }, { k }) {
    if (images.shape[1] !== k.length) {
      throw new ShapeError(
        `linear: reward.k needs a number per coordinate of a point, ${images.shape[1]}, but has ${k.length}.`,
      );
    }
    return images.mul(constant(Float32Array.from(k), [1, k.length])).sum([1]);
  },
});
