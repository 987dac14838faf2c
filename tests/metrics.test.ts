import { describe, expect, test } from "vitest";
import { effectiveSampleSize, systematicResample } from "../src/core/importance.ts";
import { Rng } from "../src/core/rng.ts";
import * as metrics from "../src/metrics/index.ts";

const { diversity, energyDistance, importance, kernelDistance, meanReward, modeTv, withinStd } = metrics;
const rng = new Rng(11);
const normal = (n: number, step: number, mean = 0, std = 1) =>
  Float64Array.from(rng.normal(n, { purpose: "test", step }), (z) => mean + std * z);

describe("mode weights", () => {
  const centers = [
    [-1, 0],
    [1, 0],
    [5, 5],
  ];
  const points = [-1, 0.1, -1.2, 0, 0.9, 0.3, 1, -0.2];
  test("total variation is half the absolute differences of the shares", () => {
    expect(modeTv(points, centers, [0.5, 0.5, 0])).toEqual({ value: 0, n: 4 });
    expect(modeTv(points, centers, [0, 0, 1]).value).toBe(1);
    expect(modeTv(points, centers, [0.2, 0.5, 0.3]).value).toBeCloseTo(0.3, 14);
  });
});

test("the mean reward has the spread of samples, and the error of a mean", () => {
  expect(meanReward([1, 2, 3, 6])).toEqual({ value: 3, std: Math.sqrt(3.5), error: Math.sqrt(3.5 / 4), n: 4 });
  const many = meanReward(Array.from(normal(4000, 7), (z) => 0.2 + 2 * z));
  expect(Math.abs(many.value - 0.2)).toBeLessThan(4 * many.error);
  expect(many.error).toBeCloseTo(2 / Math.sqrt(4000), 2);
});

describe("energy distance", () => {
  test("of N(0, 1) and N(1, 1) is that of the closed form", () => {
    // E|N(m, s²)| = s√(2/π) e^{−m²/2s²} + m (1 − 2Φ(−m/s)), s² = 2; erf(1/2) = 0.5204998778
    const across = Math.sqrt(2) * Math.sqrt(2 / Math.PI) * Math.exp(-1 / 4) + 0.5204998778;
    const wanted = 2 * across - (2 * 2) / Math.sqrt(Math.PI);
    const values = [0, 1, 2, 3].map((k) => energyDistance(normal(3000, 2 * k), normal(3000, 2 * k + 1, 1), 1).value);
    const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
    expect(Math.abs(mean - wanted)).toBeLessThan(0.03);
  });

  test("is unbiased: between equal laws it is as often negative as positive, and zero on average", () => {
    const values = Array.from(
      { length: 60 },
      (_, k) => energyDistance(normal(120, 100 + 2 * k), normal(160, 101 + 2 * k), 2).value,
    );
    const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
    const std = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
    expect(Math.abs(mean)).toBeLessThan((3 * std) / Math.sqrt(values.length));
    expect(values.filter((v) => v < 0).length).toBeGreaterThan(15);
  });

  test("copies of one draw are no pair: every point twice is the same as once", () => {
    const [x, y] = [normal(40, 1), normal(50, 2, 0.3)];
    const twice = Float64Array.from([...x, ...x]);
    const sources = Array.from(twice, (_, j) => j % 40);
    expect(energyDistance(twice, y, 1, { sources }).value).toBeCloseTo(energyDistance(x, y, 1).value, 12);
    expect(energyDistance(twice, y, 1).value).toBeGreaterThan(energyDistance(x, y, 1).value + 0.005);
    const { value, error } = energyDistance([0.5, 0.5, 0.5, 0.5], y, 1, { sources: [3, 3, 3, 3] }); // a collapsed sampler
    expect(value).toBeGreaterThan(0.1);
    expect(Number.isFinite(error)).toBe(true);
  });

  test.each([
    ["of different laws is its spread over samples", 1, 0.75, 1.35],
    ["of equal laws is no smaller than its spread", 0, 0.9, 3],
  ])("its bootstrap error %s", (_, shift, least, most) => {
    const drawn = Array.from({ length: 60 }, (_, k) =>
      energyDistance(normal(800, 300 + 2 * k), normal(800, 301 + 2 * k, shift), 2),
    );
    const mean = drawn.reduce((sum, { value }) => sum + value, 0) / drawn.length;
    const std = Math.sqrt(drawn.reduce((sum, { value }) => sum + (value - mean) ** 2, 0) / (drawn.length - 1));
    const error = drawn.reduce((sum, d) => sum + d.error, 0) / drawn.length;
    expect(error / std).toBeGreaterThan(least);
    expect(error / std).toBeLessThan(most);
  });

  test("is the plain double sum, in any dimension", () => {
    const [n, m, D] = [7, 5, 3];
    const [x, y] = [normal(n * D, 1), normal(m * D, 2, 0.5)];
    const between = (p: Float64Array, i: number, q: Float64Array, j: number) =>
      Math.hypot(...Array.from({ length: D }, (_, d) => p[i * D + d]! - q[j * D + d]!));
    const sum = (p: Float64Array, np: number, q: Float64Array, nq: number) => {
      let total = 0;
      for (let i = 0; i < np; i++) for (let j = 0; j < nq; j++) total += between(p, i, q, j);
      return total;
    };
    const wanted = (2 * sum(x, n, y, m)) / (n * m) - sum(x, n, x, n) / (n * (n - 1)) - sum(y, m, y, m) / (m * (m - 1));
    expect(energyDistance(x, y, D).value).toBeCloseTo(wanted, 12);
  });
});

describe("width within modes", () => {
  const centers = [
    [-3, 0],
    [3, 0],
  ];
  const modes = (std: number, step: number, weight: number) =>
    normal(8000, step, 0, std).map((v, k) => v + (k % 2 === 0 ? ((k / 2) % 10 < weight * 10 ? -3 : 3) : 0));
  test("is the ratio of the standard deviations, whatever the mode weights", () => {
    expect(withinStd(modes(0.2, 1, 0.3), modes(0.4, 2, 0.8), centers).value).toBeCloseTo(0.5, 1);
    expect(withinStd(modes(0.4, 1, 0.3), modes(0.4, 1, 0.3), centers).value).toBe(1);
  });
  test("a sample collapsed to one point per mode has width 0", () => {
    expect(withinStd([-3, 0, -3, 0, 3, 1, 3, 1], modes(0.4, 2, 0.5), centers).value).toBe(0);
  });
});

describe("diversity", () => {
  test("is 0 for parallel, 1 for orthogonal and 2 for opposite features, whatever their lengths", () => {
    const of = (data: number[]) => diversity({ data, size: 2, prompts: ["a", "a"] }).value;
    expect(of([1, 2, 3, 6])).toBeCloseTo(0, 14);
    expect(of([1, 0, 0, 5])).toBeCloseTo(1, 14);
    expect(of([1, 0, -2, 0])).toBeCloseTo(2, 14);
  });
  test("compares only images of one prompt and averages over prompts", () => {
    const features = { data: [1, 0, 0, 1, 2, 0, 0, 3, 1, 0, 1, 0], size: 2, prompts: ["a", "b", "a", "b", "c", "c"] };
    expect(diversity(features)).toEqual({ value: 0, std: 0, n: 6 });
    const mixed = diversity({ ...features, prompts: ["a", "a", "b", "b", "c", "c"] });
    expect(mixed.value).toBeCloseTo(2 / 3, 14);
    expect(mixed.std).toBeCloseTo(Math.sqrt(1 / 3), 14);
  });
  test("is the mean over all pairs, also for zero vectors", () => {
    const [n, size] = [6, 4];
    const data = normal(n * size, 5);
    data.fill(0, 0, size);
    const row = (j: number) => data.subarray(j * size, (j + 1) * size);
    const norm = (v: Float64Array) => Math.hypot(...v) || 1;
    let total = 0;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        if (i !== j) total += 1 - row(i).reduce((sum, v, d) => sum + v * row(j)[d]!, 0) / (norm(row(i)) * norm(row(j)));
      }
    }
    const { value } = diversity({ data, size, prompts: Array.from({ length: n }, () => "a") });
    expect(value).toBeCloseTo(total / (n * (n - 1)), 12);
  });
  test("one image of a prompt is refused", () => {
    expect(() => diversity({ data: [1, 0], size: 2, prompts: ["a"] })).toThrow(/"a" has 1/);
  });
});

describe("kernel distance", () => {
  const features = (n: number, step: number, mean: number) => ({
    data: normal(n, step, mean),
    size: 1,
    prompts: Array.from({ length: n }, () => "a"),
  });

  test("polynomial, by hand: {0, 1} against {0, 2} is 1 + 1 − 2·(1 + 1 + 1 + 27)/4", () => {
    const of = (data: number[]) => ({ data, size: 1, prompts: ["a", "a"] });
    expect(kernelDistance(of([0, 1]), of([0, 2])).value).toBeCloseTo(-13, 12);
  });

  test("polynomial, of N(0, 1) and N(m, 1), is that of the moments", () => {
    // k(x, y) = (xy + 1)³ = Σ_p C(3, p) x^p y^p, so MMD² = Σ_p C(3, p) (E x^p − E y^p)²
    const m = 0.5;
    const wanted = 3 * m ** 2 + 3 * (m * m) ** 2 + (m ** 3 + 3 * m) ** 2;
    const values = Array.from({ length: 12 }, (_, k) => {
      return kernelDistance(features(400, 2 * k, m), features(400, 2 * k + 1, 0)).value;
    });
    const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
    const std = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (values.length - 1));
    expect(Math.abs(mean - wanted)).toBeLessThan((3 * std) / Math.sqrt(values.length));
    expect(std / Math.sqrt(values.length)).toBeLessThan(0.15 * wanted);
  });

  test("rbf, of N(0, 1) and N(m, 1), is that of the closed form", () => {
    // E k(X, Y) = √(h²/(h²+2)) exp(−Δ²/(2(h²+2))) for X − Y ~ N(Δ, 2); h² = median of χ²-like 2·0.45494
    const [m, h2] = [1, 2 * 0.4549364];
    const wanted = 2 * Math.sqrt(h2 / (h2 + 2)) * (1 - Math.exp(-(m * m) / (2 * (h2 + 2))));
    const { value } = kernelDistance(features(1000, 1, m), features(1000, 2, 0), "rbf");
    expect(Math.abs(value / wanted - 1)).toBeLessThan(0.1);
  });

  test.each(["polynomial", "rbf"] as const)("%s: equal laws give 0 on average", (kernel) => {
    const values = Array.from({ length: 80 }, (_, k) => {
      return kernelDistance(features(30, 500 + 2 * k, 0), features(30, 501 + 2 * k, 0), kernel).value;
    });
    const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
    const std = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
    expect(Math.abs(mean)).toBeLessThan((3 * std) / Math.sqrt(values.length));
    expect(Math.min(...values)).toBeLessThan(0);
  });

  test("matches prompts, and the floor is the reference against itself with other seeds", () => {
    const a = { ...features(40, 1, 0), prompts: Array.from({ length: 40 }, (_, j) => (j < 20 ? "a" : "b")) };
    const swapped = { ...a, data: [...a.data.slice(20), ...a.data.slice(0, 20)], prompts: [...a.prompts].reverse() };
    expect(kernelDistance(a, swapped).value).toBeCloseTo(kernelDistance(a, a).value, 12);
    const again = { ...features(40, 2, 0), prompts: a.prompts };
    const measured = kernelDistance(a, again, "polynomial", a);
    expect(measured.floor).toBe(measured.value);
    expect(() => kernelDistance(a, features(40, 3, 0))).toThrow(/"b" has 20 and 0/);
  });
});

describe("importance weights", () => {
  test("the effective share is 1 for equal weights and 1/n for a single large one", () => {
    expect(importance([7, 7, 7, 7])).toEqual({ value: 1, n: 4 });
    expect(importance([800, 0, 0, 0]).value).toBe(0.25);
    expect(effectiveSampleSize([Math.log(1), Math.log(3)])).toBeCloseTo(16 / 10, 12);
  });
  test("log-normal weights of variance s² have the share exp(−s²)", () => {
    expect(importance(normal(40_000, 9, 0, 0.7)).value).toBeCloseTo(Math.exp(-0.49), 2);
  });
  test("systematic resampling draws index k floor or ceil of count·w_k times, in order", () => {
    const weights = [0.05, 0.4, 0, 0.25, 0.3];
    for (let sample = 0; sample < 20; sample++) {
      const chosen = systematicResample(weights.map(Math.log), 97, rng, { purpose: "test", sample });
      expect([...chosen]).toEqual([...chosen].sort((p, q) => p - q));
      weights.forEach((w, k) => {
        const count = chosen.filter((c) => c === k).length;
        expect(Math.abs(count - 97 * w)).toBeLessThan(1);
      });
    }
  });
});

test("every metric says what it is and which direction is better", () => {
  for (const metric of Object.values(metrics)) {
    expect(metric.kind).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(metric.summary.length).toBeGreaterThan(10);
    expect(["higher", "lower", "one"]).toContain(metric.better);
  }
});
