import { describe, expect, test } from "vitest";
import { chainForecasts } from "../src/evaluate/chain-forecasts.ts";
import { openChainMeans } from "../src/evaluate/chain-means.ts";
import { type ExactReward, rewardAt } from "../src/models/exact-target.ts";
import { logDensity, type Mixture } from "../src/models/mixture.ts";
import { type Forecast, type LocalShape, logTwist } from "../src/models/twist.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { partsOf, plane } from "./worlds/worlds.ts";

const states: Mixture = { means: [[-0.9], [0.1], [1.2]], stds: [0.4, 0.6, 0.5], weights: [0.5, 0.2, 0.3] };
const forecasts: Forecast[] = [
  { slope: 0.6, shift: [-0.5], variance: 0.09 },
  { slope: 0.9, shift: [0.2], variance: 0.2 },
  { slope: 0, shift: [1.4], variance: 0.05 },
];

/** Σ_k ρ_k(x) ∫ N(y; a_k x + b_k, c_k) exp(β r(y)) dy on a grid of y. */
function expected(x: number, reward: ExactReward, beta: number): number {
  const width = 0.002;
  const alone = (k: number): Mixture => ({ means: [states.means[k]!], stds: [states.stds[k]!], weights: [1] });
  const density = states.weights.map((w, k) => w * Math.exp(logDensity(alone(k), [x])));
  const total = density.reduce((p, q) => p + q, 0);
  return forecasts.reduce((sum, { slope, shift, variance }, k) => {
    const end: Mixture = { means: [[slope * x + shift[0]!]], stds: [Math.sqrt(variance)], weights: [1] };
    let integral = 0;
    for (let y = -8; y < 8; y += width) {
      integral += Math.exp(logDensity(end, [y]) + beta * rewardAt([y], reward)) * width;
    }
    return sum + (density[k]! / total) * integral;
  }, 0);
}

const peaks: Mixture = { means: [[-0.4], [0.9]], stds: [0.5, 0.7], weights: [0.3, 0.7] };
const onePeak: Mixture = { means: [[0.9]], stds: [0.7], weights: [1] };

const shapeOf = (dimension: number): LocalShape => ({ value: 0, gradient: new Float64Array(dimension), curvature: 0 });

describe("psi against quadrature", () => {
  test.each<[string, ExactReward, number]>([
    ["quadratic", { kind: "quadratic", center: [0.7], tau: 0.8 }, 3],
    ["linear", { kind: "linear", k: [-0.8] }, 1.7],
    ["mixture-log-density", { kind: "mixture-log-density", mixture: peaks }, 1],
    ["mixture-log-density of one component", { kind: "mixture-log-density", mixture: onePeak }, 2.5],
  ])("%s", (_, reward, beta) => {
    const twist = logTwist(states, forecasts, reward, beta);
    const shape = shapeOf(1);
    for (const x of [-1.7, -0.2, 0.4, 2]) {
      twist(Float64Array.of(9, x), 1, shape);
      expect(shape.value).toBeCloseTo(Math.log(expected(x, reward, beta)), 8);
    }
  });

  test("another beta of components that hardly overlap", () => {
    const apart: Mixture = { means: [[-1], [1]], stds: [0.25, 0.3], weights: [0.5, 0.5] };
    const reward: ExactReward = { kind: "mixture-log-density", mixture: apart };
    const shape = shapeOf(1);
    logTwist(states, forecasts, reward, 2)(Float64Array.of(0.3), 0, shape);
    expect(Math.abs(shape.value - Math.log(expected(0.3, reward, 2)))).toBeLessThan(0.02);
  });
});

test("gradient and curvature are those of the value, also with a component of no weight", () => {
  const prior: Mixture = {
    means: [
      [1, 0.5],
      [-1, 0.25],
      [0, -1.25],
      [3, 3],
    ],
    stds: [0.5, 0.9, 0.6, 0.1],
    weights: [0.5, 0.25, 0.25, 0],
  };
  const ends = prior.means.map((shift, k) => ({ slope: 0.3 * k, shift, variance: 0.1 + 0.1 * k }));
  const twist = logTwist(prior, ends, { kind: "quadratic", center: [0.5, -0.5], tau: 0.6 }, 2);
  const at = (x: number, y: number) => {
    const shape = shapeOf(2);
    twist(Float64Array.of(x, y), 0, shape);
    return shape;
  };
  const h = 1e-4;
  for (const [x, y] of [
    [0.2, -0.4],
    [-1.3, 1],
    [0, 0],
  ] as const) {
    const { value, gradient, curvature } = at(x, y);
    const near = [at(x + h, y).value, at(x - h, y).value, at(x, y + h).value, at(x, y - h).value] as const;
    expect(gradient[0]).toBeCloseTo((near[0] - near[1]) / (2 * h), 6);
    expect(gradient[1]).toBeCloseTo((near[2] - near[3]) / (2 * h), 6);
    expect(curvature).toBeCloseTo((near[0] + near[1] + near[2] + near[3] - 4 * value) / (h * h) / 2, 5);
  }
});

test.each([
  ["ddpm", "epsilon", { kind: "ddpm", steps: 5 }],
  ["ddim", "v_prediction", { kind: "ddim", steps: 5, eta: 0.6 }],
  ["ddpm", "sample", { kind: "ddpm", steps: 5 }],
  ["memoryless flow", "velocity", { kind: "flow", steps: 5 }],
  ["Flow-GRPO's flow", "velocity", { kind: "flow", steps: 5, noise: 0.7 }],
])("forecasts of one component are the steps of the model's own chain: %s, %s", async (_, prediction, sampler) => {
  const prior: Mixture = { means: [[0.8, -0.3]], stds: [0.4], weights: [1] };
  const model = { kind: "gaussian-mixture", prediction, means: [[0.8, -0.3]], stds: 0.4 };
  const parts = await partsOf({ ...plane, model, sampler, objective: { kind: "ddpo" } });
  const { chain } = parts;
  const means = await openChainMeans(nodeRuntime({ threads: 1 }), parts, "", 2);
  // three states, more than a block, and the mean paths from them
  const x = Float64Array.of(0.5, 1, -1.2, 0.1, 2, -0.7);
  const steps = chainForecasts(chain, prior);
  let path = x;
  let variance = 0;
  for (let i = 0; i < chain.T; i++) {
    const next = new Float64Array(6);
    await means.at(i, path, next);
    variance = variance * (steps[i]![0]!.slope / steps[i + 1]![0]!.slope) ** 2 + chain.steps[i]!.sigma ** 2;
    path = next;
  }
  await means.release();
  const [{ slope, shift, variance: whole }] = steps[0] as [Forecast];
  path.forEach((value, k) => {
    expect(Math.abs(value - (slope * x[k]! + shift[k % 2]!))).toBeLessThan(1e-5);
  });
  expect(whole).toBeCloseTo(variance, 10);
});
