import { describe, expect, test } from "vitest";
import { NablaError, NonFiniteError, Rng, ShapeError } from "../src/core/index.ts";
import { frechetDistance } from "../src/metrics/index.ts";

const rng = new Rng(23);
const normal = (n: number, step: number) => Float64Array.from(rng.normal(n, { purpose: "test", step }));
const onePrompt = (data: ArrayLike<number>, size: number) => ({
  data,
  size,
  prompts: new Array<string>(data.length / size).fill("a"),
});
const frechet = (x: ArrayLike<number>, y: ArrayLike<number>, size: number) =>
  frechetDistance(onePrompt(x, size), onePrompt(y, size)).value;

/** Rows y = mean + L x of points x [n, size]. */
function affine(points: ArrayLike<number>, L: readonly (readonly number[])[], mean: readonly number[]): Float64Array {
  const size = mean.length;
  return Float64Array.from(
    { length: points.length },
    (_, i) =>
      mean[i % size]! + L[i % size]!.reduce((sum, l, d) => sum + l * points[Math.floor(i / size) * size + d]!, 0),
  );
}
/** 2·size points with mean 0 and covariance exactly I. */
const unitPoints = (size: number) =>
  Float64Array.from({ length: 2 * size * size }, (_, i) => {
    const row = Math.floor(i / size);
    return row % size === i % size ? Math.sqrt((2 * size - 1) / 2) * (row < size ? 1 : -1) : 0;
  });
/** A rotation by `angle` in the plane of the axes p and q. */
const rotation = (size: number, p: number, q: number, angle: number) =>
  Array.from({ length: size }, (_, i) =>
    Array.from({ length: size }, (_, j) => {
      if (i === j) return i === p || i === q ? Math.cos(angle) : 1;
      return i === p && j === q ? -Math.sin(angle) : i === q && j === p ? Math.sin(angle) : 0;
    }),
  );
const meanOf = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;

// Two laws N(μ, LLᵀ) in the plane whose covariances do not commute; for 2 × 2, tr (Σ₁Σ₂)^½ = √(tr Σ₁Σ₂ + 2√(det Σ₁ det Σ₂)).
const first = {
  L: [
    [1, 0],
    [0.8, 0.5],
  ],
  mean: [0, 1],
};
const second = {
  L: [
    [0.4, 0],
    [-0.9, 1.2],
  ],
  mean: [0.7, -0.2],
};
function closedForm(): number {
  const covariance = ({ L }: typeof first) =>
    L.map((row) => L.map((other) => row[0]! * other[0]! + row[1]! * other[1]!)) as [[number, number], [number, number]];
  const [s, t] = [covariance(first), covariance(second)];
  const det = ([[a, b], [c, d]]: typeof s) => a * d - b * c;
  const crossed = s[0][0] * t[0][0] + 2 * s[0][1] * t[0][1] + s[1][1] * t[1][1];
  const overlap = Math.sqrt(crossed + 2 * Math.sqrt(det(s) * det(t)));
  return 0.7 ** 2 + 1.2 ** 2 + s[0][0] + s[1][1] + t[0][0] + t[1][1] - 2 * overlap;
}

describe("the Fréchet distance", () => {
  test("of points with exactly these means and covariances is the closed form", () => {
    const points = unitPoints(2);
    const [x, y] = [first, second].map(({ L, mean }) => affine(points, L, mean)) as [Float64Array, Float64Array];
    expect(frechet(x, y, 2)).toBeCloseTo(closedForm(), 12);
    expect(frechet(y, x, 2)).toBeCloseTo(closedForm(), 12);
  });

  test("of samples of two normal laws is the closed form within 6 %", () => {
    const n = 5000; // the standard deviation of the estimate is about 2 %
    const x = affine(normal(2 * n, 1), first.L, first.mean);
    const y = affine(normal(2 * n, 2), second.L, second.mean);
    expect(Math.abs(frechet(x, y, 2) / closedForm() - 1)).toBeLessThan(0.06);
  });

  test("of equal covariances is the squared shift of the mean; of diagonal ones it sums squared differences of std", () => {
    const x = normal(60, 3);
    const shift = [1, -2, 0.5, 0, 3];
    expect(
      frechet(
        x,
        x.map((v, i) => v + shift[i % 5]!),
        5,
      ),
    ).toBeCloseTo(14.25, 11);
    const stds = [2, 0.5, 0, 1, 4];
    const scaled = unitPoints(5).map((v, i) => v * stds[i % 5]!);
    expect(frechet(scaled, unitPoints(5), 5)).toBeCloseTo(1 + 0.25 + 1 + 0 + 9, 11);
  });

  test.each([
    ["many images", 50, 4],
    ["fewer images than features", 6, 20],
  ])("%s: zero between a set and itself, in any order, and the same after a common rotation", (_, n, size) => {
    const x = normal(n * size, n);
    const y = normal(n * size, n + 1).map((v) => 1.5 * v);
    const reversed = Array.from({ length: n }, (_, j) => [...x.subarray((n - 1 - j) * size, (n - j) * size)]).flat();
    expect(Math.abs(frechet(x, x, size))).toBeLessThan(1e-12 * size);
    expect(Math.abs(frechet(x, reversed, size))).toBeLessThan(1e-12 * size);
    const value = frechet(x, y, size);
    expect(value).toBeGreaterThan(0.1);
    const origin = new Array<number>(size).fill(0);
    const rotated = (points: Float64Array) =>
      affine(affine(points, rotation(size, 0, 2, 0.7), origin), rotation(size, 1, 3, -1.1), origin);
    expect(frechet(rotated(x), rotated(y), size)).toBeCloseTo(value, 10);
  });

  test("with few images is the one of the full matrices: features that are always 0 change nothing", () => {
    const [n, size] = [7, 4];
    const [x, y] = [normal(n * size, 5), normal(n * size, 6)];
    const padded = (points: Float64Array) =>
      Array.from({ length: n }, (_, j) => [...points.subarray(j * size, (j + 1) * size), 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(frechet(padded(x).flat(), padded(y).flat(), 12)).toBeCloseTo(frechet(x, y, size), 11);
  });

  test("between equal laws N(0, I) is about (2F + F(F+1)/2)/n: the bias that the floor shows", () => {
    const [n, size] = [100, 2];
    const values = Array.from({ length: 80 }, (_, k) =>
      frechet(normal(n * size, 1000 + 2 * k), normal(n * size, 1001 + 2 * k), size),
    );
    const std = Math.sqrt(meanOf(values.map((v) => (v - meanOf(values)) ** 2)));
    expect(Math.abs(meanOf(values) - 7 / n)).toBeLessThan((3 * std) / Math.sqrt(values.length));
    expect(std / Math.sqrt(values.length)).toBeLessThan(0.1 * (7 / n));
  });

  test("averages over prompts, and the floor is the reference against itself with other seeds", () => {
    const two = (data: ArrayLike<number>) => ({ data, size: 1, prompts: ["a", "b", "a", "b"] });
    const reference = two([0, 0, 1, 1]);
    const measured = frechetDistance(two([3, 0, 4, 1]), reference, two([0, 2, 1, 3]));
    expect(measured).toMatchObject({ n: 4 });
    expect(measured.value).toBeCloseTo(9 / 2, 12);
    expect(measured.std).toBeCloseTo(9 / Math.SQRT2, 12);
    expect(measured.floor).toBeCloseTo(4 / 2, 12);
    expect(frechetDistance(reference, reference)).not.toHaveProperty("floor");
  });

  test("one image, unequal sizes, other prompts, NaN and overflow are refused", () => {
    const good = onePrompt([1, 2, 3, 5], 2);
    expect(() => frechetDistance(onePrompt([1, 2], 2), good)).toThrow(NablaError);
    expect(() => frechetDistance(good, onePrompt([1, 2], 2))).toThrow(/"a" has 2 and 1/);
    expect(() => frechetDistance(good, { ...good, prompts: ["a", "b"] })).toThrow(/"a" has 2 and 1/);
    expect(() => frechetDistance(good, { ...good, prompts: ["b", "b"] })).toThrow(/"a" has 2 and 0/);
    expect(() => frechetDistance(good, onePrompt([1, 2, 3, 5], 1))).toThrow(ShapeError);
    expect(() => frechetDistance({ ...good, data: [1, 2, 3] }, good)).toThrow(ShapeError);
    expect(() => frechetDistance(good, onePrompt([1, 2, Number.NaN, 5], 2))).toThrow(/image 1 has NaN/);
    expect(() => frechetDistance(onePrompt([1, Infinity, 3, 5], 2), good)).toThrow(NonFiniteError);
    expect(() => frechetDistance(onePrompt([1e200, 0, 3, 5], 2), good)).toThrow(NonFiniteError);
  });
});
