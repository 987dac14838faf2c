import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { ShapeError } from "../src/core/errors.ts";
import { constant, evaluate, type Interpolation, input, resize, upsample2x, vjp } from "../src/tensor/index.ts";
import { relativeError, tolerances } from "./tolerances.ts";

interface Case {
  from: [number, number];
  to: [number, number];
  mode: Interpolation;
  antialias: boolean;
  x: number[];
  y: number[];
  v: number[];
  dx: number[];
}
const { cases }: { cases: Case[] } = JSON.parse(await readFile("tests/golden/resize.json", "utf8"));

describe("equals PyTorch's interpolate (reference/resize_golden.py)", () => {
  test.each(cases.map((c) => [`${c.mode}${c.antialias ? " antialiased" : ""} [${c.from}] → [${c.to}]`, c] as const))(
    "%s",
    (_, { from, to, mode, antialias, ...golden }) => {
      const x = input("x", [1, 2, ...from]);
      const y = resize(x, to, { mode, antialias });
      const v = input("v", y.shape);
      const [value, dx] = evaluate([y, ...vjp([y], [v], [x])], { x: golden.x, v: golden.v });
      expect(relativeError(value!, golden.y)).toBeLessThan(tolerances.golden);
      expect(relativeError(dx!, golden.dx)).toBeLessThan(tolerances.golden);
    },
  );
});

const picture = constant(
  Float32Array.from({ length: 2 * 3 * 5 * 4 }, (_, k) => Math.sin(k)),
  [2, 3, 5, 4],
);

test.each(["nearest", "bilinear", "bicubic"] as const)("%s to the same size changes nothing", (mode) => {
  expect(evaluate([resize(picture, [5, 4], { mode })])[0]).toEqual(evaluate([picture])[0]);
});

test.each([
  ["bilinear", false],
  ["bicubic", false],
  ["bilinear", true],
  ["bicubic", true],
] as const)("a constant picture stays constant: %s, antialias %s", (mode, antialias) => {
  const grey = constant(new Float32Array(7 * 6).fill(1), [1, 1, 7, 6]);
  const [y] = evaluate([resize(grey, [3, 11], { mode, antialias })]);
  expect(relativeError(y!, new Float64Array(33).fill(1))).toBeLessThan(1e-14);
});

test("nearest to twice the size is upsample2x", () => {
  const [a, b] = evaluate([resize(picture, [10, 8], { mode: "nearest" }), upsample2x(picture)]);
  expect(a).toEqual(b);
});

test("antialiased halving with a triangle weights four pixels by 1, 3, 3, 1", () => {
  const row = constant(Float32Array.from([0, 0, 0, 1, 0, 0, 0, 0]), [1, 1, 1, 8]);
  const [y] = evaluate([resize(row, [1, 4], { antialias: true })]);
  expect(relativeError(y!, [0, 3 / 8, 1 / 8, 0])).toBeLessThan(1e-14);
});

test("refuses what has no meaning", () => {
  expect(() => resize(picture, [4, 4], { mode: "nearest", antialias: true })).toThrow(ShapeError);
  expect(() => resize(picture, [0, 4])).toThrow("two positive integers");
});
