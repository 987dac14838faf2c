import { beforeAll, describe, expect, test } from "vitest";
import { systematicResample } from "../src/core/importance.ts";
import { Rng } from "../src/core/rng.ts";
import { samplers } from "../src/diffusion/index.ts";
import { energyDistance, importance, modeTv, withinStd } from "../src/metrics/index.ts";
import { type ExactReward, exactTarget, rewardAt } from "../src/models/exact-target.ts";
import { gaussianMixture, mixturesOf } from "../src/models/gaussian-mixture.ts";
import type { Mixture } from "../src/models/mixture.ts";

// Reference numbers of an independent prototype for the two exact worlds: the target law, the pretrained 20-step
// sampler and that sampler reweighted to the target. They check kernels, grid, target and metrics at once. Tolerances are
// about two standard errors of the prototype's 6,000 samples (2,500 for energy distances) and ours.

const angle = Math.PI / 8 + 0.06;
const ring = {
  means: Array.from({ length: 8 }, (_, k) => [1.4 * Math.cos((k * Math.PI) / 4), 1.4 * Math.sin((k * Math.PI) / 4)]),
  stds: 0.15,
};
const ringReward: ExactReward = { kind: "quadratic", center: [Math.cos(angle), Math.sin(angle)], tau: 0.8 };
const line = { means: [[-1.3], [0], [1.3]], stds: 0.2, weights: [0.4, 0.35, 0.25] };
const lineReward: ExactReward = { kind: "quadratic", center: [0.9], tau: 1 };
const rng = new Rng(20);

/** Samples of the pretrained chain with the exact prediction, float64, [n, D]. */
function pretrained(options: Parameters<typeof gaussianMixture>[0], n: number, steps = 20): Float64Array {
  const model = gaussianMixture(options);
  const mixture = mixturesOf(options)[""]!;
  const D = model.shape[0]!;
  const chain = samplers.ddpm({ steps }).chain(model);
  const x = Float64Array.from(rng.normal(n * D, { purpose: "test", step: 0 }));
  for (const { i, alphaBar, d1, d2, sigma } of chain.steps) {
    const z = rng.normal(n * D, { purpose: "test", step: i + 1 });
    for (let j = 0; j < n; j++) {
      const state = x.subarray(j * D, (j + 1) * D);
      const out = exactNoise(mixture, state, alphaBar);
      for (let d = 0; d < D; d++) state[d] = d1 * state[d]! + d2 * out[d]! + sigma * z[j * D + d]!;
    }
  }
  return x;
}

function exactNoise(mixture: Mixture, x: Float64Array, alphaBar: number): number[] {
  const signal = Math.sqrt(alphaBar);
  const variance = mixture.stds.map((s) => alphaBar * s * s + 1 - alphaBar);
  const share = mixture.means.map((mean, k) => {
    const square = mean.reduce((sum, m, d) => sum + (x[d]! - signal * m) ** 2, 0);
    return (mixture.weights[k]! * Math.exp(-square / (2 * variance[k]!))) / variance[k]! ** (mean.length / 2);
  });
  const total = share.reduce((sum, s) => sum + s, 0);
  return Array.from(x, (value, d) =>
    mixture.means.reduce((sum, mean, k) => {
      return sum + (Math.sqrt(1 - alphaBar) * share[k]! * (value - signal * mean[d]!)) / (total * variance[k]!);
    }, 0),
  );
}

const rewards = (points: Float64Array, D: number, reward: ExactReward) =>
  Float64Array.from({ length: points.length / D }, (_, j) => rewardAt(points.subarray(j * D, (j + 1) * D), reward));
const mean = (values: Float64Array) => values.reduce((sum, v) => sum + v, 0) / values.length;

/** `count` of the points, resampled by exp(r). */
function reweighted(points: Float64Array, D: number, r: Float64Array, count: number): Float64Array {
  const chosen = systematicResample(r, count, rng, { purpose: "metric" });
  return Float64Array.from({ length: count * D }, (_, e) => points[chosen[Math.floor(e / D)]! * D + (e % D)]!);
}

const n = 6000;
const within = (value: number, wanted: number, tolerance: number) =>
  expect(Math.abs(value - wanted), `${value} should be ${wanted} ± ${tolerance}`).toBeLessThan(tolerance);

describe("ring of 8 modes in 2-D", () => {
  const target = exactTarget(mixturesOf(ring)[""]!, ringReward, 1, n, rng, { purpose: "metric", sample: 1 });
  const weights = target.mixture!.weights;
  let pool: Float64Array;
  let r: Float64Array;
  beforeAll(() => {
    pool = pretrained(ring, 4 * n);
    r = rewards(pool, 2, ringReward);
  });

  test("the exact target", () => {
    expect(weights.map((w) => Number(w.toFixed(2)))).toEqual([0.34, 0.37, 0.13, 0.03, 0.01, 0.01, 0.02, 0.1]);
    within(target.meanReward, -0.74, 0.02); // the prototype averaged 6,000 samples, ± 0.009
    const { means, stds } = target.mixture!;
    const perAxis = [0, 1].map((d) => {
      const first = weights.reduce((sum, w, k) => sum + w * means[k]![d]!, 0);
      return weights.reduce((sum, w, k) => sum + w * (means[k]![d]! ** 2 + stds[k]! ** 2), 0) - first * first;
    });
    within(Math.sqrt((perAxis[0]! + perAxis[1]!) / 2), 0.68, 0.006);
  });

  test("the pretrained sampler", () => {
    const points = pool.slice(0, 2 * n);
    within(mean(r), -2.22, 0.03);
    within(modeTv(points, ring.means, weights).value, 0.456, 0.015);
    within(energyDistance(points, target.samples, 2).value, 0.617, 0.03);
  });

  test("the pretrained sampler reweighted to the target: the floor", () => {
    const points = reweighted(pool, 2, r, n);
    within(mean(rewards(points, 2, ringReward)), -0.703, 0.03);
    expect(modeTv(points, ring.means, weights).value).toBeLessThan(0.03);
    expect(energyDistance(points, target.samples, 2).value).toBeLessThan(0.005);
    within(withinStd(points, target.samples, ring.means).value, 0.95, 0.05);
    expect(importance(r).value).toBeGreaterThan(0.2);
  });
});

describe("three modes in 1-D", () => {
  const target = exactTarget(mixturesOf(line)[""]!, lineReward, 1, n, rng, { purpose: "metric", sample: 2 });
  const weights = target.mixture!.weights;

  test("the exact target", () => {
    [0.08, 0.46, 0.46].forEach((w, k) => {
      within(weights[k]!, w, 0.01);
    });
    within(target.meanReward, -0.392, 0.01);
  });

  test("the pretrained sampler and its floor", () => {
    const pool = pretrained(line, 4 * n);
    const r = rewards(pool, 1, lineReward);
    within(mean(r), -1.06, 0.02);
    within(modeTv(pool, line.means, weights).value, 0.3, 0.05);
    within(energyDistance(pool.slice(0, n), target.samples, 1).value, 0.373, 0.05);
    const points = reweighted(pool, 1, r, n);
    within(mean(rewards(points, 1, lineReward)), -0.407, 0.02);
    within(modeTv(points, line.means, weights).value, 0.053, 0.03);
    within(energyDistance(points, target.samples, 1).value, 0.0102, 0.008);
  });
});
