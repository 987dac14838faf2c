import { describe, expect, test } from "vitest";
import { Rng } from "../src/core/rng.ts";
import { tiltedReference } from "../src/evaluate/index.ts";
import { diversity } from "../src/metrics/index.ts";

const rng = new Rng(5);
const prompts = Array.from({ length: 40 }, (_, k) => (k % 2 === 0 ? "a" : "b"));
const features = { data: rng.normal(40 * 6, { purpose: "test" }), size: 6, prompts };

describe("the tilted reference", () => {
  test("of equal rewards is the plain average, whatever β", () => {
    const agreement = Float32Array.from(prompts, (p) => (p === "a" ? 1 : 0));
    const rewards = new Float32Array(40).fill(3);
    const tilted = tiltedReference({ rewards, prompts, features, agreement }, 7);
    expect(tilted).toMatchObject({ beta: 7, n: 40 });
    expect(tilted.reward).toBeCloseTo(3, 9);
    expect(tilted.rewardStd).toBeCloseTo(0, 6);
    expect(tilted.diversity).toBeCloseTo(diversity(features).value, 12);
    expect(tilted.promptAgreement).toBeCloseTo(0.5, 12);
    expect(tilted.ess).toBeCloseTo(20, 9);
  });

  test("moves normal rewards of variance s² by βs² and leaves 1/e^(β²s²) of the samples", () => {
    const n = 200_000;
    const [beta, s] = [0.5, 1.2];
    const rewards = rng.normal(n, { purpose: "test", step: 1 }).map((z) => s * z);
    const one = { data: new Float32Array(n).fill(1), size: 1, prompts: new Array<string>(n).fill("a") };
    const tilted = tiltedReference({ rewards, prompts: one.prompts, features: one }, beta);
    expect(tilted.reward).toBeCloseTo(beta * s * s, 1);
    expect(tilted.rewardStd).toBeCloseTo(s, 1);
    expect(tilted.ess / n).toBeCloseTo(Math.exp(-((beta * s) ** 2)), 1);
    expect(tilted.diversity).toBeCloseTo(0, 9);
  });

  test("takes two different draws for diversity, each by its weight", () => {
    // w = (3, 1, 1)/5; pairs: (1, 2) and (1, 3) orthogonal, (2, 3) parallel
    const three = { data: Float32Array.of(1, 0, 0, 1, 0, 2), size: 2, prompts: ["a", "a", "a"] };
    const rewards = Float32Array.of(Math.log(3), 0, 0);
    const agreement = Float32Array.of(1, 0, 0);
    const tilted = tiltedReference({ rewards, prompts: three.prompts, features: three, agreement }, 1);
    expect(tilted.promptAgreement).toBeCloseTo(3 / 5, 6);
    expect(tilted.diversity).toBeCloseTo((2 * (3 + 3)) / (2 * (3 + 3 + 1)), 6);
    expect(tilted.ess).toBeCloseTo(25 / 11, 6);
  });

  test("weighs within a prompt, never between prompts", () => {
    const rewards = Float32Array.from(prompts, (p) => (p === "a" ? 100 : 0));
    expect(tiltedReference({ rewards, prompts, features }, 1).reward).toBeCloseTo(50, 9);
  });
});
