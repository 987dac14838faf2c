import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { normalQuantile } from "../src/core/normal-quantile.ts";
import type { HalfSteps } from "../src/evaluate/flow-gradient.ts";
import { sampleComparing } from "../src/evaluate/path-ratio.ts";
import { pathLogWeights } from "../src/evaluate/path-summary.ts";
import { samplePolicy } from "../src/evaluate/sample-policy.ts";
import type { Model } from "../src/models/index.ts";
import { residualNablaDb } from "../src/objectives/index.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { logVariances, varianceTable } from "../src/sample/learned-variance.ts";
import { checkVariance } from "../src/train/chain-check.ts";
import { linear, linesOf } from "./worlds/linear-policy.ts";
import { train } from "./worlds/training.ts";
import { trace } from "./worlds/transitions.ts";
import { configOf, partsOf, plane, withObjective } from "./worlds/worlds.ts";

const runtime = nodeRuntime({ threads: 1 });
const scratch = mkdtempSync(join(tmpdir(), "nablaflow-variance-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const beta = 4;
const [center, tau] = [0.6, 0.8];
/** N(0, I) on a line and a quadratic reward: every kernel of the tilted chain is Gaussian. */
const line = {
  ...plane,
  model: { kind: "gaussian-mixture", means: [[0]], stds: 1 },
  reward: { kind: "quadratic", center: [center], tau },
  sampler: { kind: "ddpm", steps: 8 },
  objective: { kind: "residual-nabla-db", beta, attenuation: "zero", variance: "learned" },
};
const parts = linear(await partsOf(line));
const { chain } = parts;

/**
 * log F̃_i(x) = a + b x + c x²/2 of every level, from the end backwards: E exp over N(Jx, σ²), J = d₁ + d₂ √(1−ᾱ), as
 * ε_# = √(1−ᾱ) x. The tilted kernel has Δ = (c Jx + b) v and the variance σ² v, v = 1/(1 − σ² c).
 */
const exact = (() => {
  const k = beta / tau ** 2;
  let flow = { a: (-k * center ** 2) / 2, b: k * center, c: -k };
  const levels = [flow];
  const kernels: { v: number; slope: number; offset: number }[] = [];
  for (const { d1, d2, sigma, alphaBar } of [...chain.steps].reverse()) {
    const J = d1 + d2 * Math.sqrt(1 - alphaBar);
    const { a, b, c } = flow;
    const v = 1 / (1 - sigma ** 2 * c);
    kernels.unshift({ v, slope: c * J * v, offset: b * v });
    flow = { a: a + (sigma ** 2 * b ** 2 * v + Math.log(v)) / 2, b: b * J * v, c: c * J ** 2 * v };
    levels.unshift(flow);
  }
  return { levels, kernels };
})();

/** A policy of these means, and the table of these variances. */
const means = linesOf(
  chain.steps.map(({ i, sigma, d2 }) => {
    const { slope, offset } = exact.kernels[i]!;
    return [(slope * sigma ** 2) / d2, (offset * sigma ** 2) / d2];
  }),
);
const bound = Math.log(16);
const tableOf = (variances: readonly number[]) => ({
  [varianceTable]: {
    shape: [variances.length, 1],
    data: Float32Array.from(variances, (v) => bound * Math.atanh(Math.log(v) / bound)),
  },
});
const best = { ...means, ...tableOf(exact.kernels.map(({ v }) => v)) };
const known: HalfSteps = {
  objective: parts.objective,
  flow: linesOf(chain.steps.map(({ i }) => [exact.levels[i]!.c, exact.levels[i]!.b])),
};

describe("on N(0, I) with a quadratic reward, where the best chain is known", () => {
  const n = 2000;
  const request = { prompts: new Array<string>(n).fill(""), seed: 5, purpose: "evaluation", block: 500 } as const;
  const rewardOf = (x: number) => -((x - center) ** 2) / (2 * tau ** 2);

  async function weights(policy: typeof best, halfSteps?: HalfSteps) {
    const { states, paths } = await sampleComparing(runtime, parts, policy, {
      ...request,
      keepStates: true,
      halfSteps,
    });
    const log = pathLogWeights(Float64Array.from(states.at(-1)!, rewardOf), paths, beta);
    const logFlow = Float64Array.from(states[0]!, (x) => {
      const { a, b, c } = exact.levels[0]!;
      return a + b * x + (c * x * x) / 2;
    });
    return { errors: log.map((w, j) => w - logFlow[j]!), ends: states.at(-1)!, paths };
  }
  const largest = (values: Float64Array) => Math.max(...values.map(Math.abs));
  const mean = (values: ArrayLike<number>) => Array.from(values).reduce((p, q) => p + q, 0) / values.length;

  test("the variances are far from the pretrained ones", () => {
    expect(Math.min(...exact.kernels.map(({ v }) => v))).toBeLessThan(0.6);
  });

  test("the best means and variances give every path the weight F̃_0(x_0), in whole steps and in halves", async () => {
    for (const halfSteps of [undefined, known]) {
      const { errors, paths } = await weights(best, halfSteps);
      expect(largest(errors)).toBeLessThan(1e-3);
      expect(mean(paths.kl) / mean(paths.logRatio)).toBeCloseTo(1, 1);
    }
  });

  test("with the pretrained variances the weights spread, and are right on average; halves spread them less", async () => {
    const spread: number[] = [];
    for (const halfSteps of [undefined, known]) {
      const { errors } = await weights({ ...means } as typeof best, halfSteps);
      const ratios = errors.map(Math.exp);
      const deviation = Math.sqrt(mean(ratios.map((w) => (w - 1) ** 2)));
      expect(Math.abs(mean(ratios) - 1)).toBeLessThan((4 * deviation) / Math.sqrt(n));
      spread.push(Math.sqrt(mean(errors.map((e) => e * e))));
    }
    expect(spread[0]).toBeGreaterThan(0.1);
    expect(spread[1]).toBeLessThan(spread[0]! / 1.2);
  });

  test("all that samples a policy uses its variances, and another number of steps is refused", async () => {
    const wide = { ...means, ...tableOf(exact.kernels.map(() => 1)) };
    const ends = async (policy: typeof best) => (await samplePolicy(runtime, parts, policy, request)).states.at(-1)!;
    expect(await ends(wide)).toEqual(await ends({ ...means } as typeof best));
    const [narrow, plain] = [await ends(best), await ends(wide)].map((x) =>
      mean(x.map((value) => (value - mean(x)) ** 2)),
    );
    const precision = 1 + beta / tau ** 2; // of the tilted law
    expect(Math.abs(narrow! * precision - 1)).toBeLessThan(4 * Math.sqrt(2 / n));
    expect(plain! / narrow!).toBeGreaterThan(1.02);
    expect(() => logVariances(best, { ...chain, T: 9 })).toThrow(/here 8, but the sampler has 9/);
  });

  test("the loss is stationary at the known variance of every step", () => {
    // x' = μ ± σ√v: the mean over both is that over the policy, as h is linear
    const gradients = (variances: readonly number[]) => {
      const policy = { ...means, ...tableOf(variances) };
      const transitions = chain.steps.flatMap(({ i, sigma, d1, d2, alphaBar }) =>
        [-1, 1].map((z) => {
          const x = 0.3;
          const { slope, offset } = exact.kernels[i]!;
          const mu = (d1 + d2 * Math.sqrt(1 - alphaBar)) * x + sigma ** 2 * (slope * x + offset);
          return { i, x: [x], xNext: [mu + sigma * Math.sqrt(variances[i]!) * z] };
        }),
      );
      const more = { "transition.step": transitions.map(({ i }) => i) };
      const { losses, slope } = trace(parts, transitions, { policy, flow: known.flow, more });
      return slope(losses.policy!.variance!, "policy")
        .slice(-chain.T)
        .map((g) => g * chain.T);
    };
    expect(Math.max(...gradients(exact.kernels.map(({ v }) => v)).map(Math.abs))).toBeLessThan(1e-4);
    // elsewhere it is v − E t with E t = 1 + σ²c v, times the slope of log v in the table
    gradients(chain.steps.map(() => 1)).forEach((g, i) => {
      expect(g).toBeCloseTo(1 - (1 + chain.steps[i]!.sigma ** 2 * exact.levels[i + 1]!.c), 4);
    });
  });
});

test("the gradient in log v is twice that of the divergence of a step, for a reward that is no parabola", async () => {
  const modes = [
    { at: 0.4, std: 0.3, weight: 1 / 3 },
    { at: -0.5, std: 0.2, weight: 2 / 3 },
  ];
  const reward = {
    kind: "mixture-log-density",
    means: modes.map(({ at }) => [at]),
    stds: modes.map(({ std }) => std),
    weights: modes.map(({ weight }) => weight),
  };
  const bent = linear(await partsOf({ ...line, reward }));
  const { i, sigma, d1, d2, alphaBar } = chain.steps.at(-1)!;
  const { slope: slopeOfDelta, offset } = exact.kernels[i]!;
  const x = 0.05;
  const mu = (d1 + d2 * Math.sqrt(1 - alphaBar)) * x + sigma ** 2 * (slopeOfDelta * x + offset); // Δ need not be the best
  const reach = 40; // the last σ is small: a β that bends log F̃ within it
  const logFlow = (y: number) =>
    reach *
    Math.log(
      modes.reduce((p, { at, std, weight }) => p + (weight / std) * Math.exp(-((y - at) ** 2) / (2 * std ** 2)), 0),
    );
  const n = 4000;
  const z = Float64Array.from({ length: n }, (_, k) => normalQuantile((k + 0.5) / n));
  /** KL(N(μ, σ²v) ‖ π_# F̃/Z) up to what does not depend on v. */
  const divergence = (logV: number) =>
    (Math.exp(logV) - logV) / 2 - z.reduce((sum, u) => sum + logFlow(mu + sigma * Math.exp(logV / 2) * u), 0) / n;
  for (const v of [0.6, 1, 1.7]) {
    const policy = { ...means, ...tableOf(exact.kernels.map(() => v)) };
    const transitions = [...z].map((u) => ({ i, x: [x], xNext: [mu + sigma * Math.sqrt(v) * u] }));
    const objective = residualNablaDb({ beta: reach, variance: "learned" });
    const more = { "transition.step": z.map(() => i) };
    const { losses, slope } = trace(withObjective(bent, objective), transitions, { policy, more });
    const byTable = slope(losses.policy!.variance!, "policy").at(-1)!;
    const tableSlope = 1 - (Math.log(v) / bound) ** 2; // of L tanh(p/L)
    const step = 1e-4;
    const known = (divergence(Math.log(v) + step) - divergence(Math.log(v) - step)) / (2 * step);
    expect(Math.abs(known)).toBeGreaterThan(0.02);
    expect(Math.abs(byTable / tableSlope / (2 * known) - 1)).toBeLessThan(0.02);
  }
});

test("for a linear reward the pretrained variances are the best", async () => {
  const straight = linear(await partsOf({ ...line, reward: { kind: "linear", k: [0.7] } }));
  const { i, sigma } = chain.steps.at(-1)!;
  const transitions = [-1, 1].map((z) => ({ i, x: [0], xNext: [sigma * z] }));
  const policy = { ...linesOf(chain.steps.map(() => [0, 0])), ...tableOf(chain.steps.map(() => 1)) };
  const traced = trace(straight, transitions, { policy, more: { "transition.step": [i, i] } });
  expect(traced.slope(traced.losses.policy!.variance!, "policy").slice(-chain.T).map(Math.abs)).toEqual(
    chain.steps.map(() => 0),
  );
});

test("variances are learned on a world, kept with the policy, and refused elsewhere", async () => {
  const set = [
    "train.updates=250",
    "train.trajectories=48",
    "train.optimizer.lr=0.01",
    "objective.attenuation=squared",
  ];
  const { policy, steps } = await train(configOf(line, ...set), { path: join(scratch, "run") });
  const learned = logVariances(policy, chain)!.map(Math.exp);
  expect(steps.at(-1)!.losses).toHaveProperty("policy.variance");
  learned.forEach((v, i) => {
    expect(Math.abs(v - exact.kernels[i]!.v), `step ${i}`).toBeLessThan(0.08);
  });
  const objective = residualNablaDb({ variance: "learned" });
  expect(() => checkVariance(objective, { kind: "diffusers" } as Model)).toThrow(/exact worlds .* "diffusers"/);
  for (const other of ["reverse=sampled", "priorStrength=0.5", "gradients=full"]) {
    expect(() => configOf(line, `objective.${other}`)).toThrow(/learned needs/);
  }
});
