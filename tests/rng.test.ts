import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../src/core/errors.ts";
import { logExact, normalQuantile } from "../src/core/normal-quantile.ts";
import { philoxBlocks } from "../src/core/philox.ts";
import { purposes, Rng } from "../src/core/rng.ts";

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const bytesOf = (array: Float32Array | Float64Array | Int32Array): Uint8Array => new Uint8Array(array.buffer);
const mean = (xs: ArrayLike<number>): number => Array.from(xs).reduce((sum, x) => sum + x, 0) / xs.length;

describe("Philox4x32-10", () => {
  // Known answers of the Random123 distribution (kat_vectors): counter, key, output.
  test.each([
    ["00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"],
    ["ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"],
    ["243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"],
  ])("counter %s, key %s", (counter, key, answer) => {
    const parse = (text: string): number[] => text.split(" ").map((word) => Number.parseInt(word, 16));
    const [c0, c1, c2, c3] = parse(counter) as [number, number, number, number];
    const [k0, k1] = parse(key) as [number, number];
    const out = new Uint32Array(4);
    philoxBlocks(out, 1, c0, c1, c2, c3, k0, k1);
    expect([...out]).toEqual(parse(answer));
  });

  test("a run of blocks is the blocks one by one", () => {
    const together = new Uint32Array(12);
    philoxBlocks(together, 3, 7, 1, 2, 3, 4, 5);
    for (let b = 0; b < 3; b++) {
      const alone = new Uint32Array(4);
      philoxBlocks(alone, 1, 7 + b, 1, 2, 3, 4, 5);
      expect(together.slice(4 * b, 4 * b + 4)).toEqual(alone);
    }
  });
});

describe("log and normal quantile", () => {
  test("log agrees with Math.log to 1 ulp of the result from 1e-300 to 1e300, and near 1", () => {
    const xs = Array.from(new Rng(1).uniform(20_000, { purpose: "test" }), (u) => u * 10 ** Math.round(600 * u - 300));
    const near = Array.from(new Rng(2).uniform(20_000, { purpose: "test" }), (u) => 0.5 + 1.5 * u);
    for (const x of [...xs, ...near, 1 + 2 ** -52, 1 - 2 ** -53, 2 ** -33, Math.SQRT2, Math.SQRT1_2]) {
      const ulp = 2 ** (Math.floor(Math.log2(Math.abs(Math.log(x)))) - 52);
      expect(Math.abs(logExact(x) - Math.log(x)), `log(${x})`).toBeLessThanOrEqual(1.01 * ulp);
    }
    expect(logExact(1)).toBe(0);
    expect(logExact(2 ** 40)).toBeCloseTo(40 * Math.LN2, 14);
  });

  // Quantiles of the float64 nearest to p, computed with mpmath 1.3.0 at 60 digits.
  test.each([
    [0.075, -1.439531470938456],
    [0.0749, -1.4402382675279637],
    [0.25, -0.6744897501960817],
    [0.1, -1.2815515655446004],
    [0.9, 1.2815515655446006],
    [0.025, -1.9599639845400543],
    [0.01, -2.326347874040841],
    [0.001, -3.0902323061678136],
    [1e-6, -4.753424308822899],
    [1e-9, -5.997807015007687],
    [1e-10, -6.361340902404056],
    [1e-11, -6.706023155495136],
    [1e-12, -7.034483825301132],
    [1e-20, -9.262340089798409],
    [1e-100, -21.273453560965326],
    [1e-300, -37.0470962993612],
  ])("quantile of %d to 1e-14 relative", (p, z) => {
    expect(Math.abs(normalQuantile(p) / z - 1)).toBeLessThan(1e-14);
  });

  test("the median is 0 and the quantile is antisymmetric", () => {
    expect(normalQuantile(0.5)).toBe(0);
    for (const u of new Rng(3).uniform(1000, { purpose: "test" })) {
      expect(normalQuantile(1 - u)).toBe(-normalQuantile(u));
    }
  });
});

describe("Rng", () => {
  const rng = new Rng(20260101);

  test("element e does not depend on how many are drawn, on the offset or on what was drawn before", () => {
    const at = { purpose: "test", sample: 5, step: 3 } as const;
    const all = rng.normal(3001, at);
    for (const n of [0, 1, 2, 3, 4, 5, 1023, 1024, 1025, 3000]) {
      expect(rng.normal(n, at)).toEqual(all.slice(0, n));
      expect(rng.uniform(n, at)).toEqual(rng.uniform(3001, at).slice(0, n));
      expect(rng.integers(n, 3_000_000_000 / 2, at)).toEqual(rng.integers(3001, 1_500_000_000, at).slice(0, n));
    }
    const out = new Float32Array(3010).fill(7);
    new Rng(20260101n).fillNormal(out, 4, 3001, at);
    expect(out.slice(4, 3005)).toEqual(all);
    expect([...out.slice(0, 4), ...out.slice(3005)]).toEqual(Array(9).fill(7));
  });

  test("normals are the quantiles of the uniforms of their stream", () => {
    const at = { purpose: "test" } as const;
    expect(rng.normal(500, at)).toEqual(Float32Array.from(rng.uniform(500, at), normalQuantile));
  });

  test("seed (both halves), purpose, sample and step each change the stream", () => {
    const draw = (seed: number | bigint, purpose: keyof typeof purposes, sample: number, step: number): string =>
      sha256(bytesOf(new Rng(seed).uniform(8, { purpose, sample, step })));
    const streams = [
      draw(1, "test", 0, 0),
      draw(2, "test", 0, 0),
      draw(1n + (1n << 32n), "test", 0, 0),
      draw(1, "rollout", 0, 0),
      draw(1, "test", 1, 0),
      draw(1, "test", 0, 1),
    ];
    expect(new Set(streams).size).toBe(streams.length);
  });

  test("no two purposes share a number", () => {
    expect(new Set(Object.values(purposes)).size).toBe(Object.keys(purposes).length);
  });

  test("moments of 400 000 normals within 5 standard errors; no correlation between neighbours or streams", () => {
    const n = 400_000;
    const z = rng.normal(n, { purpose: "test" });
    const other = rng.normal(n, { purpose: "test", sample: 1 });
    const error = 5 / Math.sqrt(n);
    expect(Math.abs(mean(z))).toBeLessThan(error);
    expect(Math.abs(mean(z.map((x) => x * x)) - 1)).toBeLessThan(error * Math.sqrt(2));
    expect(Math.abs(mean(z.map((x) => x ** 3)))).toBeLessThan(error * Math.sqrt(15));
    expect(Math.abs(mean(z.map((x) => x ** 4)) - 3)).toBeLessThan(error * Math.sqrt(96));
    expect(Math.abs(mean(z.map((x, i) => x * z[(i + 1) % n]!)))).toBeLessThan(error);
    expect(Math.abs(mean(z.map((x, i) => x * other[i]!)))).toBeLessThan(error);
  });

  test("uniforms lie inside (0, 1) and fill it evenly", () => {
    const counts = new Float64Array(100);
    const uniforms = rng.uniform(100_000, { purpose: "test", step: 9 });
    expect(uniforms.every((u) => u > 0 && u < 1)).toBe(true);
    for (const u of uniforms) counts[Math.floor(u * 100)]! += 1;
    const chiSquare = counts.reduce((sum, c) => sum + (c - 1000) ** 2 / 1000, 0);
    expect(chiSquare).toBeLessThan(99 + 5 * Math.sqrt(2 * 99));
  });

  test("integers are unbiased even when the bound does not divide 2^32, and rejected words are redrawn", () => {
    const bound = 3 * 2 ** 29; // a quarter of the words must be rejected; without that, thirds get 3 : 3 : 2 words
    const thirds = [0, 0, 0];
    const integers = rng.integers(90_000, bound, { purpose: "test" });
    expect(integers.every((k) => k >= 0 && k < bound)).toBe(true);
    for (const k of integers) thirds[k % 3]! += 1;
    for (const count of thirds) expect(Math.abs(count - 30_000)).toBeLessThan(5 * Math.sqrt(20_000));
    expect(new Set(rng.integers(200, 7, { purpose: "test" }))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
    expect([...rng.integers(5, 1, { purpose: "test" })]).toEqual([0, 0, 0, 0, 0]);
  });

  test("permutations hold every number once, and all orders of 3 are equally likely", () => {
    const order = rng.permutation(1000, { purpose: "test" });
    expect([...order].sort((a, b) => a - b)).toEqual([...Array(1000).keys()]);
    const counts: Record<string, number> = {};
    for (let sample = 0; sample < 6000; sample++) {
      const key = rng.permutation(3, { purpose: "test", sample }).join("");
      counts[key] = (counts[key] ?? 0) + 1;
    }
    expect(Object.keys(counts)).toHaveLength(6);
    for (const count of Object.values(counts)) expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(1000));
  });

  test("the numbers of seed 0 never change", () => {
    // Frozen: a change here changes every run ever made. The first uniform is the first known answer of Philox.
    const zero = new Rng(0);
    expect(zero.uniform(1, { purpose: "init" })[0]).toBe((0x6627e8d5 + 0.5) / 2 ** 32);
    const at = { purpose: "rollout", sample: 3, step: 7 } as const;
    expect(sha256(bytesOf(zero.normal(4096, at)))).toBe(
      "336d3c2dcd899c838c5ac5bcb6b5ee77d2481c64d74994a84c19a80d66353a3c",
    );
    expect(sha256(bytesOf(zero.integers(4096, 45, at)))).toBe(
      "c4272b1b89be710347390d122d32e0c53ab6a27aed574d5f2b386f2757919caf",
    );
    expect(sha256(bytesOf(zero.permutation(4096, at)))).toBe(
      "cffca1807c275d8bf41dabe86d098e041be544097e03cd1c8070bd7a0cfcb182",
    );
  });

  test("impossible seeds, bounds and counters are refused", () => {
    for (const seed of [-1, 0.5, Number.NaN, 2 ** 53, -1n, 1n << 64n]) {
      expect(() => new Rng(seed)).toThrow(ConfigError);
    }
    new Rng((1n << 64n) - 1n);
    expect(() => rng.integers(1, 0, { purpose: "test" })).toThrow(/bound/);
    expect(() => rng.uniform(1, { purpose: "test", sample: -1 })).toThrow(/sample/);
    expect(() => rng.uniform(1, { purpose: "test", step: 2 ** 32 })).toThrow(/step/);
    expect(() => rng.fillNormal(new Float32Array(3), 1, 3, { purpose: "test" })).toThrow(/array of 3/);
  });
});
