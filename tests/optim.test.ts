import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cloneArrays, NonFiniteError, Rng, ShapeError } from "../src/core/index.ts";
import { AdamW, clipGradNorm, constantRate, Ema, warmupCosineRate } from "../src/optim/index.ts";
import { relativeError } from "./tolerances.ts";

const named = (...values: number[]) => ({
  w: { shape: [values.length], data: Float32Array.from(values) },
});
const gradientAt = (step: number) => ({
  w: { shape: [3], data: new Rng(7).normal(3, { purpose: "test", step }) },
});

describe("AdamW", () => {
  test("is the published recurrence, in float64", () => {
    const [lr, b1, b2, eps, decay] = [0.02, 0.8, 0.95, 1e-3, 0.1];
    const params = named(1, -2, 0.5);
    const optimizer = new AdamW({ betas: [b1, b2], eps, weightDecay: decay });
    const p = [1, -2, 0.5];
    const m = [0, 0, 0];
    const v = [0, 0, 0];
    for (let k = 1; k <= 20; k++) {
      const g = gradientAt(k);
      optimizer.step(params, g, lr);
      g.w.data.forEach((gi, i) => {
        p[i]! -= lr * decay * p[i]!;
        m[i] = b1 * m[i]! + (1 - b1) * gi;
        v[i] = b2 * v[i]! + (1 - b2) * gi ** 2;
        p[i]! -= (lr * (m[i]! / (1 - b1 ** k))) / (Math.sqrt(v[i]! / (1 - b2 ** k)) + eps);
      });
    }
    expect(optimizer.steps).toBe(20);
    expect(relativeError(params.w.data, p)).toBeLessThan(1e-6);
  });

  test("zero gradients move nothing without decay, and shrink by 1 − lr·weightDecay with it", () => {
    const still = named(1, -2);
    const shrinking = named(1, -2);
    const optimizer = new AdamW({ weightDecay: 0.5 });
    for (let k = 0; k < 3; k++) {
      new AdamW().step(still, named(0, 0), 0.1);
      optimizer.step(shrinking, named(0, 0), 0.1);
    }
    expect(still).toEqual(named(1, -2));
    expect(relativeError(shrinking.w.data, [0.95 ** 3, -2 * 0.95 ** 3])).toBeLessThan(1e-6);
  });

  test("gradients of any scale move parameters alike; the first step has length lr", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-3, max: 1e3, noNaN: true }), (scale) => {
        const run = (factor: number) => {
          const params = named(0, 0, 0);
          const optimizer = new AdamW({ eps: 1e-30 });
          for (let k = 1; k <= 5; k++) {
            const g = gradientAt(k);
            for (let i = 0; i < 3; i++) g.w.data[i]! *= factor;
            optimizer.step(params, g, 0.1);
            if (k === 1) expect(relativeError(params.w.data.map(Math.abs), [0.1, 0.1, 0.1])).toBeLessThan(1e-6);
          }
          return params.w.data;
        };
        expect(relativeError(run(scale), run(1))).toBeLessThan(1e-5);
      }),
      { numRuns: 20 },
    );
  });

  test("a state put into another optimizer continues to the bit", () => {
    const first = named(1, 2, 3);
    const optimizer = new AdamW();
    for (let k = 1; k <= 4; k++) optimizer.step(first, gradientAt(k), 0.01);
    const second = cloneArrays(first);
    const resumed = new AdamW();
    resumed.importState(optimizer.exportState());
    for (let k = 5; k <= 8; k++) {
      optimizer.step(first, gradientAt(k), 0.01);
      resumed.step(second, gradientAt(k), 0.01);
    }
    expect(second).toEqual(first);
    expect(resumed.steps).toBe(8);
  });

  test("a missing gradient is refused before anything moves", () => {
    const params = { ...named(1), u: { shape: [1], data: Float32Array.of(1) } };
    expect(() => new AdamW().step(params, named(1), 0.1)).toThrow(ShapeError);
    expect(params.w.data[0]).toBe(1);
  });
});

test("clipGradNorm: the norm before; afterwards at most max, in the same direction", () => {
  const gradients = { ...named(3, 0), u: { shape: [1], data: Float32Array.of(-4) } };
  expect(clipGradNorm(gradients, 10)).toBe(5);
  expect([...gradients.w.data, ...gradients.u.data]).toEqual([3, 0, -4]);
  expect(clipGradNorm(gradients, 1)).toBe(5);
  expect(relativeError([...gradients.w.data, ...gradients.u.data], [0.6, 0, -0.8])).toBeLessThan(1e-7);
  expect(() => clipGradNorm(named(1, Number.NaN), 1)).toThrow(NonFiniteError);
});

test("Ema: decayᵏ of the start, the rest spread over the updates; the parameters are not touched", () => {
  const ema = new Ema(named(1), 0.9);
  const params = named(3);
  for (let k = 0; k < 5; k++) ema.update(params);
  expect(relativeError(ema.arrays.w.data, [3 + (1 - 3) * 0.9 ** 5])).toBeLessThan(1e-6);
  expect(params).toEqual(named(3));
});

test("learning rates", () => {
  const constant = constantRate(2, 100, 0.75);
  expect([0, 74, 75, 99].map(constant)).toEqual([2, 2, 0.2, 0.2]);
  expect(constantRate(2, 100)(99)).toBe(2);
  const cosine = warmupCosineRate(2, 110, 10);
  expect([0, 4, 9, 10].map(cosine)).toEqual([0.2, 1, 2, 2]);
  expect(relativeError([cosine(60), cosine(110), cosine(200)], [1, 0, 0])).toBeLessThan(1e-12);
});
