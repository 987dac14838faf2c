import { describe, expect, test } from "vitest";
import { NablaError, NonFiniteError, Rng, ShapeError } from "../src/core/index.ts";
import { vendiScore } from "../src/metrics/index.ts";

const rng = new Rng(22);
const normal = (n: number, step: number) => Float64Array.from(rng.normal(n, { purpose: "test", step }));
const onePrompt = (data: ArrayLike<number>, size: number) => ({
  data,
  size,
  prompts: new Array<string>(data.length / size).fill("a"),
});
const vendi = (data: ArrayLike<number>, size: number) => vendiScore(onePrompt(data, size)).value;
/** Row j has `length(j)` on axis `axis(j)`. */
const onAxes = (n: number, size: number, axis: (j: number) => number, length: (j: number) => number = () => 1) =>
  Float64Array.from({ length: n * size }, (_, i) =>
    axis(Math.floor(i / size)) === i % size ? length(Math.floor(i / size)) : 0,
  );

describe("the Vendi score", () => {
  test("of k equal groups of orthogonal features is k, whatever the lengths, with fewer images or fewer features", () => {
    for (const k of [1, 2, 3, 5]) {
      expect(
        vendi(
          onAxes(
            4 * k,
            7,
            (j) => j % k,
            (j) => j + 1,
          ),
          7,
        ),
      ).toBeCloseTo(k, 11);
      expect(
        vendi(
          onAxes(2 * k, 40, (j) => j % k),
          40,
        ),
      ).toBeCloseTo(k, 11);
    }
  });

  test("of one image repeated is 1", () => {
    const image = normal(20, 1);
    expect(vendi([...image, ...image, ...image, ...image], 20)).toBeCloseTo(1, 12);
  });

  test("of two images at an angle is exp of the entropy of (1 ± cos)/2", () => {
    const cos = 0.3;
    const [p, q] = [(1 + cos) / 2, (1 - cos) / 2];
    expect(vendi([2, 0, cos, Math.sqrt(1 - cos * cos)], 2)).toBeCloseTo(
      Math.exp(-p * Math.log(p) - q * Math.log(q)),
      12,
    );
  });

  test("of unequal orthogonal groups is exp of the entropy of their shares", () => {
    const shares = [6 / 9, 2 / 9, 1 / 9];
    const wanted = Math.exp(-shares.reduce((sum, p) => sum + p * Math.log(p), 0));
    expect(
      vendi(
        onAxes(9, 5, (j) => (j < 6 ? 0 : j < 8 ? 1 : 2)),
        5,
      ),
    ).toBeCloseTo(wanted, 12);
  });

  test.each([
    [6, 30],
    [30, 6],
  ])("%d images with %d features: lies between 1 and both, and neither order nor duplication changes it", (n, size) => {
    const data = normal(n * size, n);
    const value = vendi(data, size);
    expect(value).toBeGreaterThan(1);
    expect(value).toBeLessThan(Math.min(n, size));
    const reversed = Array.from({ length: n }, (_, j) => [...data.subarray((n - 1 - j) * size, (n - j) * size)]);
    expect(vendi(reversed.flat(), size)).toBeCloseTo(value, 10);
    expect(vendi([...data, ...data], size)).toBeCloseTo(value, 10);
  });

  test("counts each zero vector as orthogonal to all", () => {
    expect(vendi([0, 0, 3, 0, 0, 0], 2)).toBeCloseTo(3, 12);
    expect(vendi([0, 0, 0, 0], 2)).toBeCloseTo(2, 12);
  });

  test("compares only images of one prompt and averages over prompts", () => {
    const features = { data: [1, 0, 0, 1, 2, 0, 0, 3], size: 2 };
    const apart = vendiScore({ ...features, prompts: ["a", "b", "a", "b"] });
    expect(apart).toMatchObject({ n: 4, std: 0 });
    expect(apart.value).toBeCloseTo(1, 12);
    expect(vendiScore({ ...features, prompts: ["a", "a", "b", "b"] }).value).toBeCloseTo(2, 12);
  });

  test("one image of a prompt, features of another size and NaN are refused", () => {
    expect(() => vendiScore(onePrompt([1, 0], 2))).toThrow(NablaError);
    expect(() => vendiScore({ data: [1, 0, 1, 0], size: 2, prompts: ["a", "b"] })).toThrow(/"a" has 1/);
    expect(() => vendiScore({ data: [1, 0, 1], size: 2, prompts: ["a", "a"] })).toThrow(ShapeError);
    expect(() => vendiScore({ data: [], size: 2, prompts: [] })).toThrow(ShapeError);
    expect(() => vendiScore(onePrompt([1, 0, Number.NaN, 1], 2))).toThrow(NonFiniteError);
  });
});
