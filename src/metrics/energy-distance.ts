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
 * @param sources which draw each x is a copy of, [n], where x were resampled: no draw is paired with itself, so copies of one are not
 */
export const energyDistance = defineMetric(
  {
    kind: "energy-distance",
    summary: "unbiased energy distance between samples and the exact target",
    better: "lower",
  },
  (
    x: ArrayLike<number>,
    y: ArrayLike<number>,
    dimension: number,
    { withinY, sources }: { withinY?: GroupedPairs; sources?: ArrayLike<number> } = {},
  ) => {
    const across = pairsAcross(x, y, dimension);
    const ofX = pairsWithin(x, dimension);
    const apart = sources ? pairsOverPairsApart(sources) : 1;
    const ofY = withinY ?? pairsWithin(y, dimension);
    return {
      value: 2 * meanAcross(across) - apart * meanWithin(ofX) - meanWithin(ofY),
      n: x.length / dimension,
      error: bootstrapError(
        (gx, gy) => 2 * meanAcross(across, gx, gy) - apart * meanWithin(ofX, gx) - meanWithin(ofY, gy),
        across,
      ),
    };
  },
);

/** Pairs j ≠ k over those of different sources; copies are 0 apart, so that only the number of pairs has to be mended. */
function pairsOverPairsApart(sources: ArrayLike<number>): number {
  const copies = new Map<number, number>();
  for (let j = 0; j < sources.length; j++) copies.set(sources[j]!, (copies.get(sources[j]!) ?? 0) + 1);
  const n = sources.length;
  let alike = 0;
  for (const count of copies.values()) alike += count * count;
  return alike < n * n ? (n * (n - 1)) / (n * n - alike) : 1; // copies of one draw alone have no pair
}
