import { describe, expect, test } from "vitest";
import { ConfigError, NablaError, NonFiniteError, Rng, ShapeError } from "../src/core/index.ts";
import { coverage, density, precision, recall } from "../src/metrics/index.ts";

const rng = new Rng(24);
const normal = (n: number, step: number) => Float64Array.from(rng.normal(n, { purpose: "test", step }));
const onePrompt = (data: ArrayLike<number>, size: number) => ({
  data,
  size,
  prompts: new Array<string>(data.length / size).fill("a"),
});
const shifted = (points: Float64Array, by: number) => points.map((v) => v + by);
const meanOf = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
const shares = { precision, recall, coverage };
const all = { ...shares, density };

describe("k nearest neighbours", () => {
  test.each(Object.entries(shares))(
    "%s is 1 for a set with itself, also of equal points, and 0 far apart",
    (_, metric) => {
      const x = normal(120, 1);
      expect(metric(onePrompt(x, 4), onePrompt(x, 4))).toEqual({ value: 1, n: 30 });
      const equal = onePrompt(new Float64Array(8).fill(0.3), 2);
      expect(metric(equal, equal).value).toBe(1);
      expect(metric(onePrompt(x, 4), onePrompt(shifted(x, 100), 4)).value).toBe(0);
    },
  );

  test("density is 0 for sets far apart and, in many dimensions, far above 1 for a model that keeps to the middle", () => {
    const y = onePrompt(normal(1600, 2), 16);
    expect(density(onePrompt(shifted(normal(1600, 3), 100), 16), y).value).toBe(0);
    expect(density(onePrompt(new Float64Array(160), 16), y).value).toBeGreaterThan(3);
  });

  test("by hand, on a line with k = 1: balls of 0, 1, 3, 7 reach 1, 1, 2, 4", () => {
    const y = onePrompt([0, 1, 3, 7], 1);
    const x = onePrompt([2, 2.5, 12, 40], 1); // balls reach 0.5, 0.5, 9.5, 28
    // 2 lies in [0, 2] around 1 and [1, 5] around 3; 2.5 in [1, 5] only; 12 and 40 in none
    expect(precision(x, y, undefined, 1).value).toBe(2 / 4);
    expect(density(x, y, undefined, 1).value).toBe(3 / 4);
    expect(coverage(x, y, undefined, 1).value).toBe(2 / 4);
    // 3 lies in [2, 3] around 2.5 and [2.5, 21.5] around 12; 7 in the latter; 0 and 1 in none
    expect(recall(x, y, undefined, 1).value).toBe(2 / 4);
  });

  test("when modes are dropped recall and coverage fall by their share and precision stays", () => {
    const modes = (n: number, step: number, count: number) =>
      onePrompt(
        normal(2 * n, step).map((v, i) => (i % 2 === 0 ? v + 50 * (Math.floor(i / 2) % count) : v)),
        2,
      );
    const y = modes(400, 4, 4);
    const [whole, dropped] = [modes(400, 5, 4), modes(400, 6, 2)];
    expect(precision(whole, y).value).toBeGreaterThan(0.95);
    expect(precision(dropped, y).value).toBeGreaterThan(0.95);
    expect(recall(whole, y).value).toBeGreaterThan(0.95);
    expect(recall(dropped, y).value).toBeGreaterThan(0.45);
    expect(recall(dropped, y).value).toBeLessThanOrEqual(0.5);
    expect(coverage(dropped, y).value).toBeLessThanOrEqual(0.5);
    expect(precision(y, dropped).value).toBe(recall(dropped, y).value);
  });

  test("an outlier of the model raises recall and not coverage; one of the reference raises precision and not density", () => {
    const x = shifted(normal(100, 7), 30);
    const y = normal(100, 8);
    const withOutlier = (points: Float64Array, at: number) => onePrompt([...points, at, at], 2);
    expect(recall(withOutlier(x, 12), onePrompt(y, 2)).value).toBeGreaterThan(0.5);
    expect(coverage(withOutlier(x, 12), onePrompt(y, 2)).value).toBe(0);
    expect(precision(onePrompt(x, 2), withOutlier(y, 18)).value).toBeGreaterThan(0.5);
    expect(density(onePrompt(x, 2), withOutlier(y, 18)).value).toBeLessThan(0.34);
  });

  test.each([
    [16, 3, 2],
    [40, 5, 6],
  ])("equal laws, n = %d, k = %d: coverage is 1 − Π(n − j)/(2n − j) and density 1 on average", (n, k, size) => {
    let missed = 1;
    for (let j = 1; j <= k; j++) missed *= (n - j) / (2 * n - j);
    const pairs = Array.from({ length: 150 }, (_, s) => {
      const [x, y] = [onePrompt(normal(n * size, 2000 + 2 * s), size), onePrompt(normal(n * size, 2001 + 2 * s), size)];
      return [coverage(x, y, undefined, k).value, density(x, y, undefined, k).value] as const;
    });
    for (const [which, wanted] of [1 - missed, 1].entries()) {
      const values = pairs.map((pair) => pair[which]!);
      const error = Math.sqrt(meanOf(values.map((v) => (v - meanOf(values)) ** 2)) / values.length);
      expect(Math.abs(meanOf(values) - wanted)).toBeLessThan(3 * error);
      expect(error).toBeLessThan(0.02);
    }
  });

  test.each(Object.entries(all))("%s does not see order, scale or a common shift", (_, metric) => {
    const [x, y] = [normal(60, 9), shifted(normal(60, 10), 0.4)];
    const value = metric(onePrompt(x, 3), onePrompt(y, 3)).value;
    const reversed = Array.from({ length: 20 }, (_, j) => [...x.subarray(57 - 3 * j, 60 - 3 * j)]).flat();
    expect(metric(onePrompt(reversed, 3), onePrompt(y, 3)).value).toBeCloseTo(value, 12);
    const moved = (points: Float64Array) =>
      onePrompt(
        points.map((v) => 4 * v + 1),
        3,
      );
    expect(metric(moved(x), moved(y)).value).toBeCloseTo(value, 12);
  });

  test.each(Object.entries(all))(
    "%s averages over prompts; the floor is the reference with other seeds",
    (_, metric) => {
      const ab = Array.from({ length: 20 }, (_, j) => (j < 10 ? "a" : "b"));
      const y = { data: normal(40, 11), size: 2, prompts: ab };
      const half = { ...y, data: y.data.map((v, i) => (i < 20 ? v : v + 100)) };
      const measured = metric(half, y, y);
      const own = metric(y, y).value;
      expect(measured.n).toBe(20);
      expect(measured.floor).toBe(own);
      const onlyA = metric(onePrompt(y.data.subarray(0, 20), 2), onePrompt(y.data.subarray(0, 20), 2)).value;
      expect(measured.value).toBeCloseTo(onlyA / 2, 12);
      expect(measured.std).toBeCloseTo(onlyA / Math.SQRT2, 12);
    },
  );

  test.each(Object.entries(all))("%s refuses too few images, unequal sizes, NaN and no neighbours", (_, metric) => {
    const points = normal(20, 12);
    const good = onePrompt(points, 2);
    expect(() => metric(onePrompt([1, 2], 2), good)).toThrow(NablaError);
    expect(() => metric(good, onePrompt(normal(6, 13), 2))).toThrow(/needs 4 or more .* "a" has 10 and 3/);
    expect(() => metric(good, good, undefined, 10)).toThrow(/needs 11 or more/);
    expect(() => metric(good, onePrompt(points, 4))).toThrow(ShapeError);
    expect(() => metric({ ...good, prompts: ["a"] }, good)).toThrow(ShapeError);
    expect(() =>
      metric(
        onePrompt(
          points.map((v, i) => (i === 7 ? Number.NaN : v)),
          2,
        ),
        good,
      ),
    ).toThrow(NonFiniteError);
    for (const k of [0, 1.5, Number.NaN]) expect(() => metric(good, good, undefined, k)).toThrow(ConfigError);
  });
});
