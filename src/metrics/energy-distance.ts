import {
  bootstrapError,
  type GroupedPairs,
  meanAcross,
  meanWithin,
  pairsAcross,
  pairsWithin,
} from "./grouped-pairs.ts";
import { defineMetric } from "./metric.ts";

/**
 * Energy distance 2E‖X−Y‖ − E‖X−X'‖ − E‖Y−Y'‖ [szekely2013energy], unbiased (a point is not paired with itself, so it
 * may come out slightly negative). Zero only between equal laws. `error` is its bootstrap standard error, with x and y both
 * drawn anew; where the laws are equal it is on the large side.
 *
 * @param x points [n, dimension]
 * @param y points [m, dimension] of the law to compare with; 6,000 or more of both
 * @param withinY `pairsWithin(y, dimension)`, where several x are compared with one y
 */
export const energyDistance = defineMetric(
  {
    kind: "energy-distance",
    summary: "unbiased energy distance between samples and the exact target",
    better: "lower",
  },
  (x: ArrayLike<number>, y: ArrayLike<number>, dimension: number, withinY?: GroupedPairs) => {
    const across = pairsAcross(x, y, dimension);
    const ofX = pairsWithin(x, dimension);
    const ofY = withinY ?? pairsWithin(y, dimension);
    return {
      value: 2 * meanAcross(across) - meanWithin(ofX) - meanWithin(ofY),
      n: x.length / dimension,
      error: bootstrapError(
        (gx, gy) => 2 * meanAcross(across, gx, gy) - meanWithin(ofX, gx) - meanWithin(ofY, gy),
        across,
      ),
    };
  },
);
