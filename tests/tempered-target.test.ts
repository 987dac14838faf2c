import { describe, expect, test } from "vitest";
import { Rng } from "../src/core/rng.ts";
import { modesOf } from "../src/evaluate/target-modes.ts";
import { energyDistance } from "../src/metrics/index.ts";
import { nearestModes } from "../src/metrics/modes.ts";
import { type ExactReward, exactTarget, rewardAt } from "../src/models/exact-target.ts";
import { logDensity, type Mixture } from "../src/models/mixture.ts";
import { temperedTarget } from "../src/models/tempered-target.ts";

const line: Mixture = { means: [[-1.3], [0], [1.3]], stds: [0.2, 0.4, 0.3], weights: [0.4, 0.35, 0.25] };
/** Overlapping components, so that p^η is far from the sum of their powers. */
const plane: Mixture = {
  means: [
    [-0.5, 0.4],
    [0.4, 0.6],
    [0.3, -0.7],
  ],
  stds: [0.5, 0.3, 0.4],
  weights: [0.2, 0.5, 0.3],
};
const peaks: Mixture = { means: [[-0.8], [0.6]], stds: [0.6, 0.3], weights: [0.3, 0.7] };
const at = { purpose: "test" } as const;
const n = 20_000;

const cases: [string, Mixture, ExactReward, number, number][] = [
  ["quadratic in 1-D", line, { kind: "quadratic", center: [0.9], tau: 0.7 }, 1.5, 0.5],
  ["linear in 1-D", line, { kind: "linear", k: [0.7] }, 0.8, 0.7],
  ["log density in 1-D", line, { kind: "mixture-log-density", mixture: peaks }, 1, 0.25],
  ["log density without a closed envelope", line, { kind: "mixture-log-density", mixture: peaks }, 2.5, 0.5],
  ["quadratic in 2-D", plane, { kind: "quadratic", center: [0.1, 0.5], tau: 0.8 }, 2, 0.25],
  ["linear in 2-D", plane, { kind: "linear", k: [-0.5, 0.6] }, 0.7, 0.5],
];

/** Sums over a grid of what `use` makes of the points x and p^η exp(βr), a smooth function that vanishes at the edge. */
function quadrature(prior: Mixture, reward: ExactReward, beta: number, eta: number, use: (x: number[]) => number[]) {
  const dimension = prior.means[0]!.length;
  const [cells, reach] = dimension === 1 ? [6000, 12] : [400, 6];
  const coordinate = (j: number) => -reach + ((j + 0.5) * 2 * reach) / cells;
  let total = 0;
  let sums: number[] = [];
  for (let j = 0; j < cells ** dimension; j++) {
    const x = Array.from({ length: dimension }, (_, d) => coordinate(Math.floor(j / cells ** d) % cells));
    const p = Math.exp(eta * logDensity(prior, x) + beta * rewardAt(x, reward));
    total += p;
    if (p > 0) sums = use(x).map((value, k) => (sums[k] ?? 0) + p * value);
  }
  return sums.map((sum) => sum / total);
}

describe("p^η exp(βr) by draws, against quadrature", () => {
  test.each(cases)("%s", (_, prior, reward, beta, eta) => {
    const target = temperedTarget(prior, reward, beta, eta, n, new Rng(3), at);
    const { centers, weights } = modesOf(target, prior, new Rng(0));
    const shares = (x: ArrayLike<number>) => {
      const [k] = nearestModes(x, centers);
      return centers.map((__, j) => Number(j === k));
    };
    const moments = (x: ArrayLike<number>) => Array.from(x).flatMap((v) => [v, v * v]);
    const dimension = prior.means[0]!.length;
    const values = (x: ArrayLike<number>) => [rewardAt(x, reward), ...moments(x), ...shares(x)];
    const known = quadrature(prior, reward, beta, eta, values);
    const points = Array.from({ length: n }, (__, j) =>
      values(target.samples.subarray(j * dimension, (j + 1) * dimension)),
    );
    known.forEach((value, k) => {
      const average = points.reduce((sum, row) => sum + row[k]!, 0) / n;
      const variance = points.reduce((sum, row) => sum + (row[k]! - average) ** 2, 0) / n;
      expect(Math.abs(average - value)).toBeLessThan(4.5 * Math.sqrt(variance / Math.min(n, target.ess)) + 1e-4);
    });
    expect(Math.abs(target.meanReward - known[0]!)).toBeLessThan(0.01);
    const exactShares = known.slice(1 + 2 * dimension);
    exactShares.forEach((share, k) => {
      expect(Math.abs(weights[k]! - share)).toBeLessThan(target.modes ? 0.008 : 0.015);
    });
  });
});

test("at η = 1 it is the tilted mixture", () => {
  for (const [, prior, reward, beta] of cases.filter(([name]) => !name.includes("without"))) {
    const tempered = temperedTarget(prior, reward, beta, 1, 4000, new Rng(1), at);
    const closed = exactTarget(prior, reward, beta, 4000, new Rng(2), at);
    const dimension = prior.means[0]!.length;
    expect(energyDistance(tempered.samples, closed.samples, dimension).value).toBeLessThan(0.006);
    if (reward.kind !== "mixture-log-density") expect(tempered.meanReward).toBeCloseTo(closed.meanReward, 8);
    expect(tempered.ess).toBe(4000);
  }
});

test.each([1, 0.7, 0.2])("of one Gaussian N(m, s²) with reward k·x it is N(m + βks²/η, s²/η): η = %d", (eta) => {
  const prior: Mixture = { means: [[0.3, -0.2]], stds: [0.6], weights: [1] };
  const target = temperedTarget(prior, { kind: "linear", k: [1, -2] }, 1.5, eta, 10, new Rng(0), at);
  const { means, stds, weights } = target.mixture!;
  expect([...weights]).toEqual([1]);
  expect(stds[0]).toBeCloseTo(0.6 / Math.sqrt(eta), 12);
  expect(means[0]![0]).toBeCloseTo(0.3 + (1.5 * 0.36) / eta, 12);
  expect(means[0]![1]).toBeCloseTo(-0.2 - (3 * 0.36) / eta, 12);
  expect(target.meanReward).toBeCloseTo(means[0]![0]! - 2 * means[0]![1]!, 12);
});

test("components of no weight stay so, and many of one place still give as many samples as asked", () => {
  const stacked: Mixture = {
    means: Array.from({ length: 12 }, () => [0]),
    stds: Array.from({ length: 12 }, () => 1),
    weights: Array.from({ length: 12 }, (_, k) => (k === 0 ? 0 : 1 / 11)),
  };
  const count = 12_000;
  const { samples } = temperedTarget(stacked, { kind: "linear", k: [0] }, 1, 0.1, count, new Rng(0), at);
  expect(samples).toHaveLength(count);
  const variance = samples.reduce((sum, x) => sum + x * x, 0) / count;
  expect(Math.abs(variance / 10 - 1)).toBeLessThan(5 * Math.sqrt(2 / count));
});
