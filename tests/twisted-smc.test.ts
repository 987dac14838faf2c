import { beforeAll, describe, expect, test } from "vitest";
import type { ConfigData } from "../src/core/config.ts";
import { effectiveSampleSize, leastEss, normalizedWeights } from "../src/core/importance.ts";
import { Rng } from "../src/core/rng.ts";
import { chainForecasts } from "../src/evaluate/chain-forecasts.ts";
import { filterSpread } from "../src/evaluate/filter-spread.ts";
import { samplePolicy } from "../src/evaluate/sample-policy.ts";
import { tiltedSampler } from "../src/evaluate/tilted-sampler.ts";
import { type Particles, twistedSmc } from "../src/evaluate/twisted-smc.ts";
import { energyDistance } from "../src/metrics/index.ts";
import { nearestModes } from "../src/metrics/modes.ts";
import { type ExactReward, exactTarget, rewardAt } from "../src/models/exact-target.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { readConfig } from "../src/train/config.ts";
import { type Parts, prepare, rewardsByPrompt } from "../src/train/prepare.ts";
import { partsOf, plane } from "./worlds/worlds.ts";

const runtime = nodeRuntime({ threads: 1 });

interface World {
  parts: Parts;
  reward: ExactReward;
}

async function shipped(name: string): Promise<World> {
  const config = await readConfig(`configs/worlds/${name}.yaml`);
  return { parts: await prepare(config), reward: (await rewardsByPrompt(config))[""]! };
}

const of = ({ parts, reward }: World, beta: number, seed = 3) => {
  return { prompt: "", prior: parts.model.prior![""]!, reward, beta, seed, block: 1000 };
};

const smc = (world: World, beta: number, filters: number, particles: number) =>
  twistedSmc(runtime, world.parts, { ...of(world, beta), filters, particles });

/** n samples of the pretrained chain. */
async function pretrained({ parts }: World, n: number): Promise<Float32Array> {
  const prompts = new Array<string>(n).fill("");
  const { states } = await samplePolicy(runtime, parts, undefined, {
    prompts,
    seed: 5,
    purpose: "evaluation",
    block: 1000,
  });
  return states.at(-1)!;
}

const tiltOf = (points: Float32Array | Float64Array, { reward, parts }: World, beta: number): Float64Array => {
  const D = parts.model.shape[0]!;
  const at = (j: number) => points.subarray(j * D, (j + 1) * D);
  return Float64Array.from({ length: points.length / D }, (_, j) => beta * rewardAt(at(j), reward));
};

const tilted = (world: World, samples: Float32Array, beta: number) =>
  tiltedSampler(runtime, world.parts, samples, tiltOf(samples, world, beta), { ...of(world, beta), priorStrength: 1 });

const mean = (values: Float64Array) => values.reduce((p, q) => p + q, 0) / values.length;
const standardError = (values: Float64Array) => {
  const average = mean(values);
  return Math.sqrt(values.reduce((sum, v) => sum + (v - average) ** 2, 0) / (values.length - 1) / values.length);
};

/** r with exp(2r) = Σ_ij w_i w_j N_i N_j. */
const overlapping = {
  kind: "mixture-log-density",
  mixture: {
    means: [
      [0.9, 0.1],
      [0.2, -0.8],
    ],
    stds: [0.25, 0.3],
    weights: [0.4, 0.6],
  },
} satisfies ExactReward;
/** log E[exp(2 r(y))] for y ~ N(M, variance I) in the plane, by products of Gaussians. */
function logExpectedSquare(M: readonly number[], variance: number): number {
  const { means, stds, weights } = overlapping.mixture;
  const normal = (p: readonly number[], q: readonly number[], v: number) =>
    Math.exp(-((p[0]! - q[0]!) ** 2 + (p[1]! - q[1]!) ** 2) / (2 * v)) / (2 * Math.PI * v);
  let sum = 0;
  for (const [i, m] of means.entries()) {
    for (const [j, n] of means.entries()) {
      const [s, t] = [stds[i]! ** 2, stds[j]! ** 2];
      const v = 1 / (1 / s + 1 / t);
      const both = m.map((value, d) => v * (value / s + n[d]! / t));
      sum += weights[i]! * weights[j]! * normal(m, n, s + t) * normal(both, M, v + variance);
    }
  }
  return Math.log(sum);
}

describe("one Gaussian, whose T-step chain is Gaussian", () => {
  const model = { kind: "gaussian-mixture", means: [[0.6, -0.4]], stds: 0.5 };
  const chainOf = (more: ConfigData = {}) => partsOf({ ...plane, model, sampler: { kind: "ddpm", steps: 4 }, ...more });

  /** Mean and variance of x_T. */
  function end({ chain, model: { prior } }: Parts) {
    const { slope, shift, variance } = chainForecasts(chain, prior![""]!)[0]![0]!;
    return { mean: shift, variance: slope ** 2 + variance }; // from x_0 ~ N(0, I)
  }

  test("linear reward: every weight is Z, and the law is moved by beta k times the variance", async () => {
    const world: World = { parts: await chainOf(), reward: { kind: "linear", k: [1, -0.5] } };
    const beta = 3;
    const { mean: M, variance } = end(world.parts);
    const logZ = beta * (M[0]! - 0.5 * M[1]!) + (beta ** 2 * 1.25 * variance) / 2;
    const { points, logWeights } = await smc(world, beta, 4, 500);
    for (const w of logWeights) expect(Math.abs(w - logZ)).toBeLessThan(1e-4);
    for (const [d, k] of [1, -0.5].entries()) {
      const x = points.filter((_, index) => index % 2 === d);
      const known = M[d]! + beta * k * variance;
      expect(Math.abs(mean(x) - known)).toBeLessThan(4 * Math.sqrt(variance / x.length));
      const squares = x.map((value) => (value - known) ** 2);
      expect(Math.abs(mean(squares) / variance - 1)).toBeLessThan(4 * Math.sqrt(2 / x.length));
    }
  });

  test("quadratic reward: every weight is Z", async () => {
    const world: World = { parts: await chainOf(), reward: { kind: "quadratic", center: [-1, 1], tau: 0.5 } };
    const beta = 20;
    const { mean: M, variance } = end(world.parts);
    const square = (M[0]! + 1) ** 2 + (M[1]! - 1) ** 2;
    const kappa = beta / 0.25;
    const logZ = -Math.log(1 + kappa * variance) - (kappa * square) / (2 * (1 + kappa * variance));
    const { logWeights } = await smc(world, beta, 2, 100);
    for (const w of logWeights) expect(Math.abs(w - logZ)).toBeLessThan(1e-3);
  });

  test("with a twist that is wrong, Z stays unbiased through resampling", async () => {
    const beta = 2; // of two components that overlap: the twist leaves out what they have in common
    const world: World = { parts: await chainOf({ sampler: { kind: "ddpm", steps: 20 } }), reward: overlapping };
    const { mean: M, variance } = end(world.parts);
    const known = logExpectedSquare(M, variance);
    const z = (await smc(world, beta, 600, 12)).logZ.map((value) => Math.exp(value - known));
    expect(standardError(z)).toBeLessThan(0.03);
    expect(Math.abs(mean(z) - 1)).toBeLessThan(4 * standardError(z));
  });
});

describe("on ring8", () => {
  let world: World;
  let samples: Float32Array;
  beforeAll(async () => {
    world = await shipped("ring8");
    samples = await pretrained(world, 8000);
  }, 60_000);

  test("agrees with importance weights: Z, mean reward and modes", async () => {
    const tilt = tiltOf(samples, world, 1);
    const weights = normalizedWeights(tilt);
    const ess = effectiveSampleSize(tilt);
    const particles = await smc(world, 1, 20, 200);
    const spread = filterSpread(particles, world.reward);
    const other = normalizedWeights(particles.logWeights);
    const weighted = (values: Float64Array, w: Float64Array) => values.reduce((sum, v, j) => sum + w[j]! * v, 0);
    const error = Math.sqrt(1 / ess + 1 / spread.ess);
    const reward = weighted(tilt, weights);
    const deviation = Math.sqrt(
      weighted(
        tilt.map((r) => (r - reward) ** 2),
        weights,
      ),
    );
    expect(Math.abs(weighted(tiltOf(particles.points, world, 1), other) - reward)).toBeLessThan(4 * deviation * error);
    const { means } = world.parts.model.prior![""]!;
    const shares = (points: Float32Array | Float64Array, w: Float64Array) => {
      const near = nearestModes(points, means);
      return means.map((_, k) => near.reduce((sum, mode, j) => sum + (mode === k ? w[j]! : 0), 0));
    };
    const [known, found] = [shares(samples, weights), shares(particles.points, other)];
    known.forEach((share, k) => {
      expect(Math.abs(found[k]! - share)).toBeLessThan(4 * Math.sqrt(share * (1 - share)) * error);
    });
    const z = tilt.map(Math.exp);
    expect(Math.abs(Math.exp(spread.logZ) / mean(z) - 1)).toBeLessThan(
      4 * Math.hypot(spread.errorZ, standardError(z) / mean(z)),
    );
  });

  test.each([
    [4, 2],
    [10, 3],
  ])("beta %d: more effective samples than importance weights by a factor of %d and more", async (beta, factor) => {
    const perSample = effectiveSampleSize(tiltOf(samples, world, beta)) / 8000;
    const { ess } = filterSpread(await smc(world, beta, 20, 200), world.reward);
    expect(ess / 4000).toBeGreaterThan(factor * perSample);
  });

  test("importance weights stay the reference while they hold", async () => {
    const { method, ess, points } = await tilted(world, samples, 1);
    expect([method, points.length]).toEqual(["importance", samples.length]);
    expect(ess).toBe(effectiveSampleSize(tiltOf(samples, world, 1)));
  });

  test("where filters collapse as well, the effective size says so", async () => {
    const few = samples.subarray(0, 1200);
    expect((await tilted(world, few, 1e4)).ess).toBeLessThan(leastEss);
  });
});

test("dim64, beta 10: takes the place of weights that have collapsed, and is near the target", async () => {
  const world = await shipped("dim64");
  const beta = 10;
  const n = 2000;
  const samples = await pretrained(world, n);
  const tilt = tiltOf(samples, world, beta);
  expect(effectiveSampleSize(tilt)).toBeLessThan(20);
  const { method, ess, points } = await tilted(world, samples, beta);
  expect(method).toBe("twisted-smc");
  expect(ess).toBeGreaterThan(3 * leastEss);
  const { prior } = of(world, beta);
  const target = exactTarget(prior, world.reward, beta, n, new Rng(1), { purpose: "test" }).samples;
  const before = energyDistance(samples, target, 64).value;
  expect(energyDistance(points, target, 64).value).toBeLessThan(0.05 * before);
});

test("the same seed gives the same particles", async () => {
  const world: World = { parts: await partsOf(plane), reward: { kind: "quadratic", center: [0.5, -0.5], tau: 0.3 } };
  const [a, b] = [await smc(world, 5, 3, 40), await smc(world, 5, 3, 40)];
  expect(a).toEqual(b);
});

describe("the spread between filters", () => {
  const reward: ExactReward = { kind: "linear", k: [1] };
  const rng = new Rng(2);
  const [filters, size] = [20, 200];
  const n = filters * size;
  const normals = Float64Array.from(rng.normal(n, { purpose: "test" }));
  const logMeans = (logWeights: Float64Array) =>
    Float64Array.from({ length: filters }, (_, f) =>
      Math.log(mean(logWeights.subarray(f * size, (f + 1) * size).map(Math.exp))),
    );

  test("of independent weighted draws is their effective sample size, and never far above", () => {
    const logWeights = Float64Array.from(rng.normal(n, { purpose: "test", step: 1 }));
    const { ess, errorZ } = filterSpread({ filters, points: normals, logWeights, logZ: logMeans(logWeights) }, reward);
    const plain = effectiveSampleSize(logWeights);
    expect(ess).toBeLessThanOrEqual(plain);
    expect(ess).toBeGreaterThan(0.3 * plain); // each of the estimates has a relative error of √(2/19)
    expect(Math.abs(errorZ / Math.sqrt((Math.E - 1) / n) - 1)).toBeLessThan(0.7); // var(w)/E[w]² = e − 1
  });

  test("tells filters whose particles have one ancestor, although their weights are even", () => {
    const points = Float64Array.from({ length: n }, (_, j) => normals[Math.floor(j / size)]!);
    const logWeights = new Float64Array(n);
    const particles: Particles = { filters, points, logWeights, logZ: new Float64Array(filters) };
    expect(effectiveSampleSize(logWeights)).toBeCloseTo(n, 6);
    const { ess } = filterSpread(particles, reward);
    expect(ess).toBeGreaterThan(filters - 2);
    expect(ess).toBeLessThan(filters + 1);
  });

  test("tells filters one of which outweighs all others", () => {
    const logZ = Float64Array.from({ length: filters }, (_, f) => (f === 7 ? 20 : 0));
    const logWeights = Float64Array.from({ length: n }, (_, j) => logZ[Math.floor(j / size)]!);
    expect(filterSpread({ filters, points: normals, logWeights, logZ }, reward).ess).toBeLessThan(1.1);
  });
});
