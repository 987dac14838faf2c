import { describe, expect, test } from "vitest";
import { ConfigError } from "../src/core/errors.ts";
import type { NamedArrays } from "../src/core/named-arrays.ts";
import { Rng } from "../src/core/rng.ts";
import { gaussianMixture, mixturesOf } from "../src/models/gaussian-mixture.ts";
import { logDensity, type Mixture, sampleMixture } from "../src/models/mixture.ts";
import type { Model } from "../src/models/model.ts";
import { asConstants, asInputs, type Params } from "../src/nn/params.ts";
import { evaluate, gradient, input, type Tensor } from "../src/tensor/index.ts";

const two = {
  prompts: {
    left: {
      means: [
        [-1, 0.5],
        [-2, 0],
        [-1.5, -1],
      ],
      stds: [0.3, 0.5, 0.2],
      weights: [2, 1, 1],
    },
    right: { means: [[1, 0]], stds: 0.4 },
  },
};
const names = Object.keys(two.prompts);

/** A model's networks on a batch, evaluated in float64. */
function evaluator(
  model: Model,
  prompts: readonly string[],
  points: readonly number[][],
  alphaBars: readonly number[],
) {
  const B = points.length;
  const time = {
    t: input("t", [B]),
    alphaBar: input("alphaBar", [B]),
    progress: input("progress", [B]),
  };
  const x = input("x", [B, ...model.shape]);
  const condition = model.encode(asConstants(model.weights), input("tokens", [B, model.tokenLength], "int32"));
  const feeds = {
    t: points.map((_, b) => b),
    alphaBar: alphaBars,
    progress: points.map((_, b) => b / B),
    x: points.flat(),
    tokens: Array.from(model.tokenize(prompts)),
  };
  return {
    x,
    condition,
    run: (y: Tensor, trained: NamedArrays = {}) => {
      const values = Object.fromEntries(Object.entries(trained).map(([name, { data }]) => [name, data]));
      return evaluate([y], { ...feeds, ...values })[0]!;
    },
    predict: (params: Params) => model.predict(params, x, time, condition),
    flow: (params: Params) => model.flow.predict(params, x, time, condition),
  };
}

/** −√(1−ᾱ) ∇log of the diffused mixture at x by central differences. */
function noiseByDifferences(mixture: Mixture, x: readonly number[], alphaBar: number): number[] {
  const diffused: Mixture = {
    means: mixture.means.map((mean) => mean.map((m) => Math.sqrt(alphaBar) * m)),
    stds: mixture.stds.map((s) => Math.sqrt(alphaBar * s * s + 1 - alphaBar)),
    weights: mixture.weights,
  };
  const h = 1e-5;
  return x.map((_, d) => {
    const at = (step: number) =>
      logDensity(
        diffused,
        x.map((v, e) => (e === d ? v + step : v)),
      );
    return (-Math.sqrt(1 - alphaBar) * (at(h) - at(-h))) / (2 * h);
  });
}

const points = [
  [0.3, -0.2],
  [-1.4, 0.6],
  [0.9, 1.1],
  [-2, -1],
];
const prompts = ["left", "right", "right", "left"];
const alphaBars = [0.999, 0.7, 0.2, 0.001];

describe("the pretrained prediction", () => {
  test("is the exact noise prediction of each sample's own prompt", () => {
    const model = gaussianMixture(two);
    const world = evaluator(model, prompts, points, alphaBars);
    const eps = world.run(world.predict(asConstants(model.weights)));
    const mixtures = mixturesOf(two);
    points.forEach((x, b) => {
      const wanted = noiseByDifferences(mixtures[prompts[b]!]!, x, alphaBars[b]!);
      wanted.forEach((value, d) => {
        // weights and stds are float32
        expect(Math.abs(eps[2 * b + d]! - value)).toBeLessThan(1e-5 * (1 + Math.abs(value)));
      });
    });
  });

  test("on one Gaussian it is linear: √(1−ᾱ)(x − √ᾱ m)/(ᾱ s² + 1 − ᾱ), in any dimension", () => {
    const D = 5;
    const model = gaussianMixture({ means: [Array.from({ length: D }, (_, d) => d - 2)], stds: 0.5 });
    expect(model.shape).toEqual([D]);
    const x = Array.from({ length: D }, (_, d) => 0.3 * d);
    const world = evaluator(model, [""], [x], [0.4]);
    const eps = world.run(world.predict(asConstants(model.weights)));
    x.forEach((value, d) => {
      const wanted = (Math.sqrt(0.6) * (value - Math.sqrt(0.4) * (d - 2))) / (0.4 * 0.25 + 0.6);
      expect(eps[d]).toBeCloseTo(wanted, 12);
    });
  });

  test("of the clean sample, v and the velocity are what the noise prediction says", () => {
    const predicted = (
      prediction: NonNullable<Parameters<typeof gaussianMixture>[0]["prediction"]>,
      powers = alphaBars,
    ) => {
      const model = gaussianMixture({ ...two, prediction });
      expect(model.prediction).toBe(prediction);
      const world = evaluator(model, prompts, points, powers);
      return world.run(world.predict(asConstants(model.weights)));
    };
    const [eps, x0Hat, v] = [predicted("epsilon"), predicted("sample"), predicted("v_prediction")];
    points.flat().forEach((x, e) => {
      const power = alphaBars[Math.floor(e / 2)]!;
      const [signal, noise] = [Math.sqrt(power), Math.sqrt(1 - power)];
      expect(signal * x0Hat[e]! + noise * eps[e]!).toBeCloseTo(x, 10);
      expect(v[e]).toBeCloseTo(signal * eps[e]! - noise * x0Hat[e]!, 10);
    });
    // rectified flow at t = 1 − √ᾱ sees the state of a diffusion with the same signal-to-noise ratio, scaled
    const velocity = predicted("velocity");
    const mixtures = mixturesOf(two);
    points.forEach((x, b) => {
      const [signal, t] = [Math.sqrt(alphaBars[b]!), 1 - Math.sqrt(alphaBars[b]!)];
      const scale = Math.hypot(signal, t);
      const scaled = x.map((value) => value / scale);
      const noise = noiseByDifferences(mixtures[prompts[b]!]!, scaled, (signal / scale) ** 2);
      x.forEach((value, d) => {
        const wanted = noise[d]! - (value - t * noise[d]!) / signal; // ε − x̂
        expect(Math.abs(velocity[2 * b + d]! - wanted)).toBeLessThan(2e-4 * (1 + Math.abs(wanted)));
      });
    });
  });

  test("of the velocity at t = 1 is x − E[x_data], where x̂ = x − t v has no division by 0", () => {
    const model = gaussianMixture({ ...two, prediction: "velocity" });
    const world = evaluator(model, prompts, points, [0, 0, 0, 0]);
    const velocity = world.run(world.predict(asConstants(model.weights)));
    const mean = { left: [-1.375, 0], right: [1, 0] } as Record<string, number[]>;
    points.flat().forEach((x, e) => {
      expect(velocity[e]).toBeCloseTo(x - mean[prompts[Math.floor(e / 2)]!]![e % 2]!, 6);
    });
  });

  test("far from every mode it stays finite", () => {
    const model = gaussianMixture(two);
    const world = evaluator(
      model,
      ["left", "right"],
      [
        [60, -80],
        [-90, 5],
      ],
      [0.9999, 0.9999],
    );
    expect(world.run(world.predict(asConstants(model.weights))).every(Number.isFinite)).toBe(true);
  });
});

describe("trained networks", () => {
  const model = gaussianMixture(two);
  const adaptation = model.adaptation({ mode: "full", rank: 1, alpha: 1, targets: [] });
  const rng = new Rng(3);
  const frozen = asConstants(model.weights);

  test("start at the pretrained prediction and at a zero flow", () => {
    const world = evaluator(model, prompts, points, alphaBars);
    const trained = adaptation.init(rng);
    const policy = world.predict(adaptation.bind(frozen, asConstants(trained)));
    expect(world.run(policy)).toEqual(world.run(world.predict(frozen)));
    expect(world.run(world.flow(asConstants(model.flow.init(rng)))).every((value) => value === 0)).toBe(true);
  });

  test("have three hidden layers of 96 and inputs x, u, 16 waves and the prompt", () => {
    const shapes = Object.fromEntries(Object.entries(model.flow.init(rng)).map(([name, { shape }]) => [name, shape]));
    expect(shapes).toEqual({
      "flow.0.weight": [96, 2 + 1 + 16 + 2],
      "flow.0.bias": [96],
      "flow.1.weight": [96, 96],
      "flow.1.bias": [96],
      "flow.2.weight": [96, 96],
      "flow.2.bias": [96],
      "flow.3.weight": [2, 96],
      "flow.3.bias": [2],
    });
    const { data } = model.flow.init(rng)["flow.0.weight"]!;
    const bound = 1 / Math.sqrt(21); // PyTorch's default for 21 inputs
    expect(Math.max(...data)).toBeLessThanOrEqual(bound);
    expect(Math.max(...data)).toBeGreaterThan(0.98 * bound);
    expect(Object.keys(gaussianMixture({ means: [[0]], stds: 1 }).flow.init(rng)).length).toBe(8);
  });

  test("every trained parameter gets a gradient once the last layer is not zero, and x, time and prompt matter", () => {
    const trained = Object.fromEntries(
      Object.entries(adaptation.init(rng)).map(([name, { shape, data }]) => {
        return [name, { shape, data: data.map((v, k) => v || 0.05 + 0.01 * (k % 7)) }];
      }),
    );
    const world = evaluator(model, prompts, points, alphaBars);
    const params = asInputs(trained, "");
    const change = world.predict(adaptation.bind(frozen, params)).sub(world.predict(frozen));
    const slopes = gradient(change.square().sum(), [...Object.values(params), world.x, world.condition.prompt!]);
    for (const slope of slopes) expect(world.run(slope, trained).some((v) => v !== 0)).toBe(true);
  });
});

describe("options", () => {
  test("an unknown prompt is refused with the known ones", () => {
    const model = gaussianMixture(two);
    expect(() => model.tokenize(["middle"])).toThrow(/"left", "right".*"middle"/);
    expect(() => model.tokenize([""])).toThrow(ConfigError);
    expect(() => model.tokenize([""])).toThrow(/guidance to 1/);
    expect([...model.tokenize(["right", "left"])]).toEqual([1, 0]);
    expect([...gaussianMixture({ means: [[0]], stds: 1 }).tokenize([""])]).toEqual([0]);
    expect(names.length).toBe(2);
  });

  test.each([
    [{ means: [[0], [1]], stds: [1] }, /each of the 2 means/],
    [{ means: [[0], [1, 2]], stds: 1 }, /1 coordinates/],
    [{ means: [[0]], stds: 1, weights: [0] }, /above 0/],
    [{ means: [[0]], stds: 1, prompts: two.prompts }, /not both/],
    [{ prompts: { a: { means: [[0]], stds: 1 }, b: { means: [[0, 1]], stds: 1 } } }, /one dimension/],
    [{ means: [[0]] }, /means and stds are needed/],
    [{ means: [[0]], stds: 1, wieghts: [1] }, /wieghts/],
  ])("%j is refused", (options, message) => {
    expect(() => gaussianMixture(options)).toThrow(message);
  });
});

test("mixture samples have the mixture's moments", () => {
  const mixture = mixturesOf(two).left!;
  const n = 40_000;
  const samples = sampleMixture(mixture, n, new Rng(1), { purpose: "test" });
  for (let d = 0; d < 2; d++) {
    const values = Array.from({ length: n }, (_, j) => samples[2 * j + d]!);
    const mean = values.reduce((sum, v) => sum + v, 0) / n;
    const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / n;
    const wanted = mixture.weights.reduce((sum, w, k) => sum + w * mixture.means[k]![d]!, 0);
    const second = mixture.weights.reduce(
      (sum, w, k) => sum + w * (mixture.means[k]![d]! ** 2 + mixture.stds[k]! ** 2),
      0,
    );
    const error = Math.sqrt(variance / n);
    expect(Math.abs(mean - wanted)).toBeLessThan(4 * error);
    expect(Math.abs(variance - (second - wanted ** 2))).toBeLessThan(6 * variance * Math.sqrt(2 / n));
  }
});
