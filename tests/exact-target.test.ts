import { describe, expect, test } from "vitest";
import { Rng } from "../src/core/rng.ts";
import {
  type ExactReward,
  exactTarget,
  expectedReward,
  rewardAt,
  rewardLaw,
  tilted,
} from "../src/models/exact-target.ts";
import { logDensity, type Mixture } from "../src/models/mixture.ts";

const line: Mixture = { means: [[-1.3], [0], [1.3]], stds: [0.2, 0.4, 0.3], weights: [0.4, 0.35, 0.25] };
const plane: Mixture = {
  means: [
    [-1, 0.4],
    [0.8, 1],
    [0.3, -1.2],
  ],
  stds: [0.5, 0.3, 0.4],
  weights: [0.2, 0.5, 0.3],
};

/** Calls `use` with the points of a grid over [−5, 5]^D and its cell volume: a sum over it is an integral. */
function overGrid(dimension: number, use: (x: number[]) => void): number {
  const cells = dimension === 1 ? 4000 : 500;
  const width = 10 / cells;
  const at = (j: number) => -5 + (j + 0.5) * width;
  for (let i = 0; i < cells; i++) {
    if (dimension === 1) use([at(i)]);
    else for (let j = 0; j < cells; j++) use([at(i), at(j)]);
  }
  return width ** dimension;
}

const cases: [string, Mixture, ExactReward, number][] = [
  ["quadratic in 1-D", line, { kind: "quadratic", center: [0.9], tau: 0.7 }, 1.5],
  ["quadratic in 2-D", plane, { kind: "quadratic", center: [0.1, 0.5], tau: 0.8 }, 2],
  ["linear in 1-D", line, { kind: "linear", k: [1.4] }, 0.8],
  ["linear in 2-D", plane, { kind: "linear", k: [-1, 0.6] }, 1.3],
  [
    "mixture-log-density in 1-D",
    line,
    { kind: "mixture-log-density", mixture: { means: [[-0.8], [0.6]], stds: [0.6, 0.3], weights: [0.3, 0.7] } },
    1,
  ],
  ["mixture-log-density in 2-D", plane, { kind: "mixture-log-density", mixture: { ...plane, stds: [1, 0.6, 0.9] } }, 1],
];

describe("closed forms against quadrature", () => {
  test.each(cases)("%s", (_, prior, reward, beta) => {
    const mixture = tilted(prior, reward, beta)!;
    const unscaled = (x: number[]) => Math.exp(logDensity(prior, x) + beta * rewardAt(x, reward));
    let [total, rewardSum, gap] = [0, 0, 0];
    const volume = overGrid(prior.means[0]!.length, (x) => {
      const p = unscaled(x);
      total += p;
      rewardSum += p * rewardAt(x, reward);
    });
    overGrid(prior.means[0]!.length, (x) => {
      gap += Math.abs(unscaled(x) / (total * volume) - Math.exp(logDensity(mixture, x))) * volume;
    });
    expect(gap).toBeLessThan(1e-6); // total variation of the two densities, twice
    expect(mixture.weights.reduce((sum, w) => sum + w, 0)).toBeCloseTo(1, 12);
    const closed = expectedReward(mixture, reward);
    if (reward.kind !== "mixture-log-density") expect(closed).toBeCloseTo(rewardSum / total, 6);
    const n = 20_000;
    const { meanReward, samples, ess } = exactTarget(prior, reward, beta, n, new Rng(2), { purpose: "test" });
    expect(Math.abs(meanReward - rewardSum / total)).toBeLessThan(0.03);
    expect([samples.length, ess]).toEqual([n * prior.means[0]!.length, n]);
  });

  test("beta 0 gives the prior back", () => {
    for (const [, prior, reward] of cases.slice(0, 4)) {
      const mixture = tilted(prior, reward, 0)!;
      for (const x of [-0.7, 0.2, 1.1]) {
        const point = prior.means[0]!.map((_, d) => x + 0.3 * d);
        expect(logDensity(mixture, point)).toBeCloseTo(logDensity(prior, point), 10);
      }
    }
  });
});

test("exp(β r) without a prior is known where it is a mixture, and not where it has no finite integral", () => {
  for (const [, prior, reward, beta] of [cases[0]!, cases[1]!, cases[4]!]) {
    const law = rewardLaw(reward, beta)!;
    const constant = [-1.1, 0.2, 0.9].map((x) => {
      const point = prior.means[0]!.map((_, d) => x + 0.3 * d);
      return logDensity(law, point) - beta * rewardAt(point, reward);
    });
    for (const value of constant) expect(value).toBeCloseTo(constant[0]!, 10);
  }
  expect(expectedReward(rewardLaw({ kind: "quadratic", center: [0.1, 0.5], tau: 0.8 }, 2)!, cases[1]![2])).toBeCloseTo(
    -0.5,
    12,
  ); // −D/2β
  expect(rewardLaw({ kind: "linear", k: [1] }, 1)).toBeUndefined();
  expect(rewardLaw({ kind: "quadratic", center: [0], tau: 1 }, 0)).toBeUndefined();
  expect(rewardLaw(cases[4]![2], 2.5)).toBeUndefined();
});

test("other betas of a log density are reached by importance resampling, and the effective size is stated", () => {
  const [, prior, reward] = cases[4]!;
  const beta = 2.5;
  expect(tilted(prior, reward, beta)).toBeUndefined();
  let [total, first, rewardSum] = [0, 0, 0];
  overGrid(1, (x) => {
    const p = Math.exp(logDensity(prior, x) + beta * rewardAt(x, reward));
    total += p;
    first += p * x[0]!;
    rewardSum += p * rewardAt(x, reward);
  });
  const n = 6000;
  const target = exactTarget(prior, reward, beta, n, new Rng(5), { purpose: "test" });
  expect(target.mixture).toBeUndefined();
  expect(target.ess).toBeGreaterThan(0.5 * n);
  expect(target.ess).toBeLessThanOrEqual(n);
  expect(Math.abs(target.meanReward - rewardSum / total)).toBeLessThan(0.02);
  const mean = target.samples.reduce((sum, x) => sum + x, 0) / n;
  expect(Math.abs(mean - first / total)).toBeLessThan(0.03);
});

test("the same seed gives the same samples, another seed others", () => {
  const [, prior, reward, beta] = cases[1]!;
  const draw = (seed: number) => exactTarget(prior, reward, beta, 50, new Rng(seed), { purpose: "test" }).samples;
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
});
