import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Rng } from "../src/core/rng.ts";
import type { Chain } from "../src/diffusion/index.ts";
import { exactOfRun } from "../src/evaluate/exact-of-run.ts";
import type { Method } from "../src/evaluate/methods.ts";
import { planValidation } from "../src/evaluate/validation-plan.ts";
import { worldSection } from "../src/evaluate/validation-table.ts";
import { gaussianMixture } from "../src/models/gaussian-mixture.ts";
import { asConstants } from "../src/nn/index.ts";
import { residualNablaDb } from "../src/objectives/index.ts";
import type { TransitionState } from "../src/objectives/objective.ts";
import { nodeRuntime } from "../src/runtime/node.ts";
import { constant, evaluate, type Tensor, vjp } from "../src/tensor/index.ts";
import { prepare } from "../src/train/prepare.ts";
import { relativeError } from "./tolerances.ts";
import { tiny } from "./worlds/tiny.ts";
import { samplesOf, train } from "./worlds/training.ts";
import { drawnTransitions, movedParams, trace } from "./worlds/transitions.ts";
import { configOf, normal, partsOf, plane, withObjective } from "./worlds/worlds.ts";

const scratch = mkdtempSync(join(tmpdir(), "nablaflow-prior-strength-"));
afterAll(() => rmSync(scratch, { recursive: true }));
const eta = 0.5;
const beta = 1.5;
const worldParts = await partsOf(plane);

describe("the tempered base of an exact world", () => {
  const alphaBars = [0.9999, 0.7, 0.2, 1e-3];
  const x = [0.4, -1.2, 0.3, 0.9, -0.6, 1.5, -2, 0.1];
  const mixture = {
    means: [
      [-1, 0.4],
      [0.8, 1],
    ],
    stds: [0.5, 0.3],
    weights: [1, 3],
  };

  /** ε of the network at its first weights, at level k for point k; of the pretrained one without `c`. */
  function noiseOf(prediction: "epsilon" | "sample" | "v_prediction", strength?: number): number[] {
    const model = gaussianMixture({ prediction, ...mixture });
    const { init, bind } = strength === undefined ? model.adaptation(none) : model.adaptation(none).tempered!(strength);
    const frozen = asConstants(model.weights);
    const params = strength === undefined ? frozen : bind(frozen, asConstants(init(new Rng(0))));
    const condition = model.encode(frozen, constant(new Int32Array(4), [4, 1]));
    const levels = constant(Float32Array.from(alphaBars), [4]);
    const time = { t: levels, alphaBar: levels, progress: levels };
    const [out] = evaluate([model.predict(params, constant(Float32Array.from(x), [4, 2]), time, condition)], {});
    return Array.from(out!, (value, j) => {
      const power = Math.fround(alphaBars[Math.floor(j / 2)]!);
      const [signal, noise] = [Math.sqrt(power), Math.sqrt(1 - power)];
      if (prediction === "sample") return (Math.fround(x[j]!) - signal * value) / noise;
      return prediction === "epsilon" ? value : signal * value + noise * Math.fround(x[j]!);
    });
  }
  const none = { mode: "full", rank: 1, alpha: 1, targets: [] } as const;

  test.each(["epsilon", "sample", "v_prediction"] as const)("%s: its score is η·score_# − (1−η)ς²x", (prediction) => {
    const [pretrained, based] = [noiseOf(prediction), noiseOf(prediction, 0.25)];
    const expected = pretrained.map((eps, j) => {
      const noise = Math.sqrt(1 - Math.fround(alphaBars[Math.floor(j / 2)]!));
      return 0.25 * eps + 0.75 * noise ** 3 * Math.fround(x[j]!); // score = −ε/ς
    });
    expect(relativeError(based, expected)).toBeLessThan(1e-6);
    expect(relativeError(based, pretrained)).toBeGreaterThan(0.1);
  });

  test("where the prior is N(0, I), η = 1 changes nothing, to the bit", () => {
    expect(noiseOf("epsilon", 1)).toEqual(noiseOf("epsilon"));
  });
});

describe("residual ∇-DB with a tempered base", () => {
  const planeParts = tiny(worldParts);
  const options = { beta, priorStrength: eta, base: "tempered" } as const;
  /** (1−η)(1−ᾱ), 0 at the end. */
  const slope = ({ signal }: TransitionState) =>
    signal
      .square()
      .neg()
      .add(1)
      .mul(1 - eta);

  test.each(["frozen", "policy"] as const)(
    "x̂ of the %s network: h has −(1−η)ς²x, which the forward target takes at μ_θ in place of x'",
    (cleanPrediction) => {
      const parts = withObjective(planeParts, residualNablaDb({ ...options, cleanPrediction }));
      const { batch, losses, value } = trace(parts, drawnTransitions(parts), movedParams(parts));
      const { state, next, sigma, noising } = batch;
      const h = (at: TransitionState) => residualNablaDb({ beta, lambda: 0.5, cleanPrediction }).returns!.value(at);
      const { scale: a, std: s } = noising;
      const [variance, s2] = [sigma.square(), noising.std.square()];
      const hNext = h(next).sub(state.policy.mean.mul(slope(next)));
      const free = state.x
        .sub(state.reference.mean.mul(a))
        .mul(a)
        .mul(1 - eta)
        .div(s2);
      const drift = hNext
        .add(free)
        .div(
          a
            .mul(sigma)
            .div(s)
            .square()
            .mul(1 - eta)
            .add(eta),
        )
        .stopGradient();
      const weighted = (residual: Tensor, weight: Tensor) => value(residual.mul(weight).square().mean());
      expect(relativeError([value(losses.policy!.forward!)], [weighted(batch.delta.sub(drift), sigma)])).toBeLessThan(
        1e-11,
      );

      const backed = vjp([state.reference.mean], [drift], [state.x])[0]!.mul(eta);
      const noise = state.x
        .sub(state.reference.mean.add(drift.mul(variance)).mul(a))
        .div(s2)
        .mul(1 - eta);
      const residual = h(state)
        .sub(state.x.mul(slope(state)))
        .sub(backed)
        .add(noise);
      expect(relativeError([value(losses.flow!.reverse!)], [weighted(residual, sigma.sqrt())])).toBeLessThan(1e-11);
    },
  );

  test("is refused at full prior strength, and where the model has no such base", async () => {
    expect(() => residualNablaDb({ base: "tempered" })).toThrow(/base/);
    const set = ["objective.priorStrength=0.5", "objective.base=tempered"];
    const flow = { ...plane, model: { ...(plane.model as object), prediction: "velocity" }, sampler: { kind: "flow" } };
    await expect(prepare(configOf(flow, ...set))).rejects.toThrow(/tempered.*velocity.*objective\.base/s);
    await expect(prepare(configOf(plane, ...set))).resolves.toBeDefined();
  });
});

/**
 * Mean and std of x_T where data are N(0, 1), r = b x − q x²/2 and β = 1, once both losses are 0: everything is linear then.
 * With μ_# = a x and h_{i+1}(y) = A y + b,  Δ = ((A + 1 − η) a x + b)/(η + (1−η) a²σ²/s² − A σ²),
 * h_i = η a Δ − (1−η)(x − a(a x + σ²Δ))/s².
 */
function solved({ steps }: Chain, strength: number, { b = 0, q = 0 }) {
  let [A, B] = [-q, b];
  const drifts = steps
    .toReversed()
    .map(({ a, s, sigma }) => {
      const ratio = ((a * sigma) / s) ** 2;
      const precision = strength + (1 - strength) * ratio - A * sigma ** 2;
      const [slope, offset] = [((A + 1 - strength) * a) / precision, B / precision];
      const back = strength * a + ((1 - strength) * ratio) / a;
      [A, B] = [back * slope - (1 - strength), back * offset];
      return { slope: a + sigma ** 2 * slope, offset: sigma ** 2 * offset, sigma };
    })
    .toReversed();
  let [mean, variance] = [0, 1];
  for (const { slope, offset, sigma } of drifts) {
    [mean, variance] = [slope * mean + offset, slope ** 2 * variance + sigma ** 2];
  }
  return { mean, std: Math.sqrt(variance), start: [A, B] };
}

describe("a Gaussian prior, where p^η exp(βr) is Gaussian", () => {
  const line = {
    ...normal,
    model: { kind: "gaussian-mixture", means: [[0]], stds: 1 },
    sampler: { kind: "ddpm", steps: 20, grid: "log-snr" },
    objective: { kind: "residual-nabla-db", beta: 1, priorStrength: eta, base: "tempered" },
  };
  const cases = [
    { name: "r = x/2: N(1, 2)", reward: { kind: "linear", k: [0.5] }, known: { b: 0.5 }, mean: 1, variance: 2 },
    {
      name: "r = −(x−1)²/2: N(2/3, 2/3)",
      reward: { kind: "quadratic", center: [1], tau: 1 },
      known: { b: 1, q: 1 },
      mean: 2 / 3,
      variance: 2 / 3,
    },
    { name: "r = 0: N(0, 2)", reward: { kind: "linear", k: [0] }, known: {}, mean: 0, variance: 2 },
  ];

  test.each(cases)("$name: with more steps the solution tends to it", async ({ known, mean, variance }) => {
    const errors = [];
    for (const steps of [20, 100, 500]) {
      const { chain } = await partsOf({ ...line, sampler: { ...line.sampler, steps } });
      const found = solved(chain, eta, known);
      errors.push(Math.abs(found.mean - mean) + Math.abs(found.std / Math.sqrt(variance) - 1));
      // h_0 is the tempered base's, −(1−η)x: the start is forgotten
      expect(found.start[0]).toBeCloseTo(eta - 1, 2);
      expect(found.start[1]).toBeCloseTo(0, 1);
    }
    expect(errors[1]).toBeLessThan(0.3 * errors[0]!);
    expect(errors[2]).toBeLessThan(0.3 * errors[1]!);
    expect(errors[2]).toBeLessThan(0.04);
  });

  const rates = ["train.optimizer.lr=0.005", "train.flowOptimizer.lr=0.005"];
  const set = ["train.updates=150", "train.trajectories=32", "train.block=32", "train.checkpointEvery=1000", ...rates];

  test.each(cases)("$name: training reaches the solution at its number of steps", async ({ reward, known }) => {
    const { policy, parts } = await train(configOf({ ...line, reward }, ...set));
    const { mean, std } = solved(parts.chain, eta, known);
    const points = await samplesOf(parts, policy, new Array<string>(2000).fill(""));
    const found = points.reduce((sum, x) => sum + x, 0) / points.length;
    const spread = Math.sqrt(points.reduce((sum, x) => sum + (x - found) ** 2, 0) / points.length);
    expect(Math.abs(found - mean)).toBeLessThan(0.2);
    expect(Math.abs(spread / std - 1)).toBeLessThan(0.12);
  });
});

test("a run is measured against p^η exp(βr); the tilted sampler weighs by exp(βr) p^{η−1}", async () => {
  const model = { kind: "gaussian-mixture", means: [[0]], stds: 1 };
  const file = { ...normal, model, reward: { kind: "linear", k: [0.5] } };
  const config = configOf(file, "objective.beta=1", "objective.priorStrength=0.5", "train.block=1000");
  const parts = await prepare(config);
  const untrained = parts.adaptation.init(new Rng(0));
  const found = await exactOfRun(nodeRuntime({ threads: 1 }), parts, config, untrained, { samples: 10_000, seed: 3 });
  const { target, floor, pretrained, elbo, importanceEss, pathKl } = found!.summary;
  expect(target.meanReward).toBeCloseTo(0.5, 10); // E of x/2 under N(1, 2)
  expect(Math.abs(target.withinStdRatio - 1)).toBeLessThan(0.03);
  const { std } = solved(parts.chain, 1, {}); // of the pretrained chain: 0.84
  expect(Math.abs((pretrained.withinStdRatio * Math.SQRT2) / std - 1)).toBeLessThan(0.03);
  // N(0, std²) exp(x/2 + x²/4)
  const tilted = 1 / (1 / std ** 2 - 0.5);
  expect(Math.abs(floor.meanReward - 0.25 * tilted)).toBeLessThan(0.03);
  expect(Math.abs((floor.withinStdRatio * Math.SQRT2) / Math.sqrt(tilted) - 1)).toBeLessThan(0.06);
  expect(importanceEss).toBeCloseTo(floor.ess / 10_000, 6); // the policy is the pretrained model still
  expect(pathKl).toBe(0);
  expect(Math.abs(elbo! - 0.25 * (Math.log(2 * Math.PI) + std ** 2))).toBeLessThan(0.02); // mean of x/2 − ½ log p
});

describe("a validation", () => {
  const plan = (methods: readonly Method[]) => {
    const world = join(scratch, "line.yaml");
    writeFileSync(world, JSON.stringify(normal));
    return planValidation({ worlds: [world], methods, seeds: [0], out: join(scratch, "runs") });
  };
  const method = (name: string, options: object): Method => ({
    name,
    set: { objective: { kind: "residual-nabla-db", ...options } },
  });

  test("takes prior strengths below 1, one for all methods of a table", async () => {
    const [world] = await plan([
      method("half", { priorStrength: 0.5 }),
      method("whole", {}),
      method("same", { priorStrength: 0.5, base: "tempered" }),
    ]);
    expect(world!.priorStrength).toBe(0.5);
    expect(world!.methods.map((planned) => ("refused" in planned ? planned.refused : undefined))).toEqual([
      undefined,
      expect.stringMatching(/priorStrength of 1, half at one of 0\.5.*file of its own/),
      undefined,
    ]);
    const shown = worldSection({ world: "line", updates: 3, beta: 1, priorStrength: 0.5, seeds: [0], methods: [] });
    expect(shown).toContain("3 updates, beta 1, prior strength 0.5, seed 0.");
  });
});
