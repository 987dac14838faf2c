import { ConfigError } from "../core/errors.ts";
import { compareByPrompt } from "./compare-by-prompt.ts";
import type { Features } from "./features.ts";
import { transpose } from "./gram.ts";
import { defineMetric } from "./metric.ts";

type Rows = readonly Float64Array[];

/**
 * Neighbours that the balls of precision, recall, density and coverage reach to, as in [kynkaanniemi2019precision];
 * [naeem2020density] takes 5, with thousands of images in one set. A prompt needs one image more than this.
 */
export const neighbours = 3;

/** For each point the balls that hold it, and for each ball the points in it. */
export interface BallCounts {
  readonly ofPoints: Int32Array;
  readonly ofBalls: Int32Array;
}

/**
 * Which of the points lie in the balls around the centers, each ball as large as the distance of its center to the k-th
 * nearest other center, border included (so a set of equal points lies in its own balls of radius 0). Compares all
 * pairs.
 */
export function countInBalls(points: Rows, centers: Rows, k: number): BallCounts {
  if (!Number.isInteger(k) || k < 1) throw new ConfigError(`Neighbours are counted by an integer from 1, not ${k}.`);
  const columns = transpose(centers);
  const distances = new Float64Array(centers.length);
  const radii = Float64Array.from(centers, (center, j) => {
    squaredDistances(center, columns, distances);
    distances[j] = Infinity; // not a neighbour of itself
    return kthSmallest(distances, k);
  });
  const ofBalls = new Int32Array(centers.length);
  const ofPoints = Int32Array.from(points, (point) => {
    squaredDistances(point, columns, distances);
    let count = 0;
    for (let j = 0; j < distances.length; j++) {
      if (distances[j]! > radii[j]!) continue;
      count++;
      ofBalls[j]!++;
    }
    return count;
  });
  return { ofPoints, ofBalls };
}

/** A metric of k nearest neighbours, made by prompt of what the images x of a model and y of a reference are to each other. */
export const neighbourMetric = (
  about: Parameters<typeof defineMetric>[0],
  what: string,
  compare: (x: Rows, y: Rows, k: number) => number,
) =>
  defineMetric(about, (features: Features, reference: Features, again?: Features, k = neighbours) =>
    compareByPrompt({ what, least: k + 1, compare: (x, y) => compare(x, y, k) }, features, reference, again),
  );

/** The share of numbers that are not 0. */
export const shareCounted = (counts: Int32Array): number => counts.filter((count) => count > 0).length / counts.length;

/** ‖x − y_j‖² of all y, given by columns. */
function squaredDistances(x: Float64Array, columns: Rows, out: Float64Array): void {
  out.fill(0);
  for (let d = 0; d < x.length; d++) {
    const column = columns[d]!;
    const at = x[d]!;
    for (let j = 0; j < out.length; j++) {
      const difference = at - column[j]!;
      out[j]! += difference * difference;
    }
  }
}

function kthSmallest(values: Float64Array, k: number): number {
  const least = new Float64Array(k).fill(Infinity); // from small to large
  for (let j = 0; j < values.length; j++) {
    const value = values[j]!;
    let at = k - 1;
    if (value >= least[at]!) continue;
    for (; at > 0 && least[at - 1]! > value; at--) least[at] = least[at - 1]!;
    least[at] = value;
  }
  return least[k - 1]!;
}
